"""Contract of e-mail verification."""

from typing import Annotated, ClassVar

from crm_api.schemas.accounts import Email, Password
from crm_api.schemas.common import Envelope, RequestModel, token
from crm_api.schemas.registration import Registered

MailToken = Annotated[
    str,
    token(
        example="pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1fJ7hG0lK2xYc",
        description="The value of `token=` in the mailed link; valid for one use.",
    ),
]


class EmailVerification(RequestModel):
    """Mailed token and password of the registration."""

    token: MailToken
    password: Password
    """The password given at registration, so that the mail alone gives no access."""


class EmailVerifiedResponse(Envelope[Registered]):
    """The address is verified and the user is registered; `data` has the contact."""

    MESSAGE: ClassVar = "E-mail verified successfully"


class MailRequest(RequestModel):
    """Address to send a mail to."""

    email: Email
