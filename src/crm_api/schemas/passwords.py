"""Contract of the password operations."""

from crm_api.schemas.accounts import NewPassword, Password
from crm_api.schemas.common import RequestModel
from crm_api.schemas.verification import MailToken


class PasswordChange(RequestModel):
    """Current and new password."""

    current_password: Password
    new_password: NewPassword


class PasswordReset(RequestModel):
    """New password in place of a forgotten one."""

    token: MailToken
    password: NewPassword
