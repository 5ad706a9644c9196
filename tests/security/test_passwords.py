"""The list of common passwords, and the work of a wrong password."""

from importlib.resources import files

import bcrypt
import passlib.hash
import pytest

from crm_api.security.passwords import Passwords, is_common_password


def test_each_of_30_000_listed_passwords_is_common() -> None:
    text = files("crm_api.security").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    words = text.splitlines()
    assert len(words) == 30_000
    assert [word for word in words if not is_common_password(word)] == []


@pytest.mark.parametrize("password", [" Password1 ", "BASEBALL", "qwertyuiop"])
def test_common_password_check_ignores_case_and_outer_spaces(password: str) -> None:
    assert is_common_password(password)


@pytest.mark.parametrize(
    "password", ["", "\n", "123456\npassword", "correct horse battery", "password correct"]
)
def test_password_outside_the_list_is_not_common(password: str) -> None:
    assert not is_common_password(password)


@pytest.mark.parametrize("scheme", ["bcrypt", "bcrypt_sha256"])
async def test_wrong_password_takes_equal_work_with_old_or_no_hash(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_hash = getattr(passlib.hash, scheme).using(rounds=5).hash("right")
    passwords = Passwords(rounds=10, workers=1)
    await passwords.verify("wrong", None)  # the first check without a hash creates the dummy hash
    costs: list[int] = []
    hash_password = bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        costs.append(2 ** int(salt.split(b"$")[2]))  # $2b$10$...
        return hash_password(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)

    async def work(password_hash: str | None) -> int:
        costs.clear()
        assert (await passwords.verify("wrong", password_hash))[0] is False
        return sum(costs)

    assert await work(None) == 2**10
    assert await work(old_hash) == 2**10
