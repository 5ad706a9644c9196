"""E-mails of the account operations, as text and HTML. They contain no text that a user has entered."""

from dataclasses import dataclass
from html import escape
from typing import Protocol
from urllib.parse import urlsplit

from crm_api.schemas.registration import AcceptedResponse


class SendMail(Protocol):
    """Function that queues an e-mail and returns at once."""

    def __call__(self, *, to: str, subject: str, text: str, html: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Messages:
    """Writer of the e-mails. Their links start with `public_url`."""

    public_url: str
    send: SendMail

    def verify_email(self, to: str, token: str, *, hours: int) -> None:
        """Send the link that finishes a registration."""
        self._send(
            to,
            "Finish your registration",
            f"You (or someone using your address) registered at {self._site}.",
            f"To finish, open this link within {hours} hours and enter the password that you chose:",
            link=self._link("verify-email", token),
            end="If you did not register, ignore this e-mail. Without this link, no account is created.",
        )

    def already_registered(self, to: str) -> None:
        """Inform the owner of a registered address that someone tried to register it again."""
        self._send(
            to,
            "You already have an account",
            f"You (or someone using your address) tried to register at {self._site} again.",
            "You already have an account. Please log in. If you forgot your password, choose a new one here:",
            link=self._link("forgot-password"),
            end="If you did not try to register, ignore this e-mail. Your account has not changed.",
        )

    def not_registered(self, to: str) -> None:
        """Inform the owner of an unknown address that it has no account."""
        self._send(
            to,
            "There is no account for this address",
            f"You (or someone using your address) asked {self._site} to send a link to this address.",
            "There is no account or unfinished registration for this address. Try another of your addresses, or "
            "register here:",
            link=self._link("register"),
            end="If you did not ask for a link, ignore this e-mail.",
        )

    def reset_password(self, to: str, token: str, *, minutes: int) -> None:
        """Send the link to choose a new password."""
        self._send(
            to,
            "Choose a new password",
            f"You (or someone using your address) asked for a new password at {self._site}.",
            f"To choose a new password, open this link within {minutes} minutes. You can use it once:",
            link=self._link("reset-password", token),
            end="If you did not ask for a new password, ignore this e-mail. Your password has not changed.",
        )

    def choose_password(self, to: str, token: str, *, hours: int) -> None:
        """Send the link to choose a password that the operator has requested for the user."""
        self._send(
            to,
            "Choose your password",
            f"There is an account for this address at {self._site}.",
            f"To choose its password, open this link within {hours} hours. You can use it once:",
            link=self._link("reset-password", token),
            end="If you do not expect an account there, ignore this e-mail.",
        )

    def account_disabled(self, to: str) -> None:
        """Inform the owner of a disabled user account why no link is sent."""
        self._send(
            to,
            "Your account is disabled",
            f"You (or someone using your address) asked {self._site} to send a link to this address.",
            "The account for this address is disabled. Please contact the people who run the site:",
            link=self.public_url,
            end="If you did not ask for a link, ignore this e-mail.",
        )

    def password_changed(self, to: str) -> None:
        """Confirm that the password was changed."""
        self._send(
            to,
            "Your password was changed",
            f"The password of your account at {self._site} was changed. Other sessions of the account have ended.",
            "If you did not change it, choose a new password here:",
            link=self._link("forgot-password"),
            end="If you changed it, no action is needed.",
        )

    @property
    def _site(self) -> str:
        return urlsplit(self.public_url).netloc or self.public_url

    def _link(self, page: str, token: str | None = None) -> str:
        # Browsers do not send what follows `#`, so no server, log or Referer header sees the token.
        return f"{self.public_url.rstrip('/')}/{page}" + (f"#token={token}" if token else "")

    def _send(self, to: str, subject: str, *paragraphs: str, link: str, end: str) -> None:
        text = "\n\n".join([*paragraphs, link, end]) + "\n"
        body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
        anchor = f'<p><a href="{escape(link)}">{escape(link)}</a></p>'
        html = f"<!doctype html><html><body>{body}{anchor}<p>{escape(end)}</p></body></html>\n"
        self.send(to=to, subject=subject, text=text, html=html)


def accepted_response() -> AcceptedResponse:
    """Return the response of every operation that sends an e-mail."""
    return AcceptedResponse(message=AcceptedResponse.MESSAGE, data=None)
