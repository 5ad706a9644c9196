"""Passwords by themselves; what they open is tested where they are used."""

import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from crm_api.security.passwords import is_common_password


def test_all_of_the_most_common_passwords_are_known() -> None:
    known = FREQUENCY_LISTS["passwords"]
    assert len(known) == 30_000
    assert [word for word in known if not is_common_password(word)] == []


@pytest.mark.parametrize("password", [" Password1 ", "BASEBALL", "qwertyuiop"])
def test_capitals_and_spaces_around_make_none_uncommon(password: str) -> None:
    assert is_common_password(password)


@pytest.mark.parametrize(
    "password", ["", ",", "123456,password", "correct horse battery", "password correct"]
)
def test_others_are_not(password: str) -> None:
    assert not is_common_password(password)
