"""The list of common passwords."""

from importlib.resources import files

import pytest

from crm_api.security.passwords import is_common_password


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
