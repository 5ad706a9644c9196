"""Rate limits that routes declare. Exceeding one raises 429.

- `limit_requests`: requests of one user (through `CurrentUser`), or of one network address on routes without a login.
- `limit_registrations`: registrations and requested e-mails of one network address.
- `LimitMailsDep`: requested e-mails to one recipient.
- `LimitGuessesDep`: wrong secrets for one user account or link, and of one network address; logins of one address.
- `refuse_invalid_networks`: account requests of a network address that has sent too many invalid ones.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from crm_api.rate_limit import RateLimits, user_requests


async def limit_requests(request: Request) -> None:
    """Count the request for the user if there is one, otherwise for the network address."""
    await _rate_limits(request).require(request, user_requests)


async def limit_registrations(request: Request) -> None:
    """Count the registration or e-mail for the network address."""
    await _rate_limits(request).require_registrations(request)


async def refuse_invalid_networks(request: Request) -> None:
    """Refuse the request before its body is validated if its network has sent too many invalid requests."""
    _rate_limits(request).require_valid_requests(request)


async def get_limit_guesses(request: Request) -> Callable[..., AbstractAsyncContextManager[None]]:
    """Return the context manager that counts an attempt to enter a secret, by what the secret belongs to."""
    return partial(_rate_limits(request).limit_guesses, request)


async def get_limit_mails(request: Request) -> Callable[[str], Awaitable[None]]:
    """Return the function that counts a requested e-mail for its recipient."""
    return _rate_limits(request).require_mail


def _rate_limits(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


LimitGuessesDep = Annotated[Callable[..., AbstractAsyncContextManager[None]], Depends(get_limit_guesses)]
LimitMailsDep = Annotated[Callable[[str], Awaitable[None]], Depends(get_limit_mails)]
