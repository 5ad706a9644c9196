"""The mails that accounts need, as text and HTML. None holds a word that somebody else could have chosen."""

from dataclasses import dataclass
from html import escape
from typing import Protocol
from urllib.parse import urlsplit

from crm_api.schemas.registration import AcceptedResponse


class SendMail(Protocol):
    """Takes a mail and returns at once."""

    def __call__(self, *, to: str, subject: str, text: str, html: str) -> None:
        """Take it."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Writes the mails; `public_url` is where their links lead."""

    public_url: str
    send: SendMail

    def verify_email(self, to: str, token: str, *, hours: int) -> None:
        """How to finish a registration."""
        self._send(
            to,
            "Finish your registration",
            f"Somebody, we hope you, registered this address at {self._site}.",
            f"To finish, open this link within {hours} hours and enter the password given at registration:",
            link=self._link("verify-email", token),
            end="If it was not you, do nothing: without this link nobody gets an account for your address.",
        )

    def already_registered(self, to: str) -> None:
        """That the address has an account, which only its owner is told."""
        self._send(
            to,
            "You have an account already",
            f"Somebody, we hope you, registered this address at {self._site} once more.",
            "It has an account already. Log in; if the password is forgotten, ask for a new one here:",
            link=self._link("forgot-password"),
            end="If it was not you, do nothing: your account is as it was.",
        )

    def not_registered(self, to: str) -> None:
        """That the address has no account, which only its owner is told."""
        self._send(
            to,
            "There is no account for this address",
            f"Somebody, we hope you, asked {self._site} for a link for this address.",
            "There is no account for it, and no registration to finish. Perhaps it was another of your addresses, "
            "or you would like to register:",
            link=self._link("register"),
            end="If it was not you, do nothing.",
        )

    def reset_password(self, to: str, token: str, *, minutes: int) -> None:
        """How to choose a new password."""
        self._send(
            to,
            "Choose a new password",
            f"Somebody, we hope you, asked for a new password at {self._site}.",
            f"To choose one, open this link within {minutes} minutes; it is good for one use:",
            link=self._link("reset-password", token),
            end="If it was not you, do nothing: your password is as it was.",
        )

    def password_changed(self, to: str) -> None:
        """That the password is another now."""
        self._send(
            to,
            "Your password was changed",
            f"The password of your account at {self._site} was changed, and its other sessions have ended.",
            "If it was not you, choose another one here:",
            link=self._link("forgot-password"),
            end="If it was you, there is nothing to do.",
        )

    @property
    def _site(self) -> str:
        return urlsplit(self.public_url).netloc or self.public_url

    def _link(self, page: str, token: str | None = None) -> str:
        # After `#` a browser keeps it to itself: no server, log or Referer header sees the token.
        return f"{self.public_url.rstrip('/')}/{page}" + (f"#token={token}" if token else "")

    def _send(self, to: str, subject: str, *paragraphs: str, link: str, end: str) -> None:
        text = "\n\n".join([*paragraphs, link, end]) + "\n"
        body = "".join(f"<p>{escape(each)}</p>" for each in paragraphs)
        anchor = f'<p><a href="{escape(link)}">{escape(link)}</a></p>'
        html = f"<!doctype html><html><body>{body}{anchor}<p>{escape(end)}</p></body></html>\n"
        self.send(to=to, subject=subject, text=text, html=html)


def accepted() -> AcceptedResponse:
    """The one answer to everything that ends in a mail."""
    return AcceptedResponse(message="Check your e-mail to finish", data=None)
