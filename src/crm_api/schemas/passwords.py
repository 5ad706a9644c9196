"""Changing a password, forgotten or not, as the contract has it."""

from crm_api.schemas.accounts import NewPassword, Password
from crm_api.schemas.common import Request
from crm_api.schemas.verification import MailToken


class PasswordChange(Request):
    """The password to have from now on."""

    current_password: Password
    new_password: NewPassword


class PasswordReset(Request):
    """The password to have from now on, in place of one that was forgotten."""

    token: MailToken
    password: NewPassword
