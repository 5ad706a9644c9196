"""Proving an address, as the contract has it."""

from typing import Annotated, ClassVar

from pydantic import Field

from crm_api.schemas.accounts import Email, Password
from crm_api.schemas.common import Envelope, RequestModel
from crm_api.schemas.registration import Registered

MailToken = Annotated[
    str,
    Field(
        min_length=20,
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="What stands after `token=` in the mail's link; good for one use.",
        examples=["pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1fJ7hG0lK2xYc"],
    ),
]


class EmailVerification(RequestModel):
    """The proof that an address is one's own."""

    token: MailToken
    password: Password
    """The password given at registration; without it, whoever has the mail still has no account."""


class EmailVerifiedResponse(Envelope[Registered]):
    """The address is proved and the account made; this is its contact."""

    MESSAGE: ClassVar = "E-mail verified successfully"


class MailRequest(RequestModel):
    """An address to send a mail to."""

    email: Email
