"""Rate limits that routes declare. Exceeding one raises 429.

- `limit_requests`: requests of one user (through `CurrentUser`), or of one network address on routes without a login.
- `limit_registrations`: registrations and requested e-mails of one network address.
- `LimitGuessesDep`: wrong secrets for one user account or link, and of one network address.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from crm_api.rate_limit import RateLimits, registrations, user_requests


async def limit_requests(request: Request) -> None:
    """Count the request for the user if there is one, otherwise for the network address."""
    await _rate_limits(request).require(request, user_requests)


async def limit_registrations(request: Request) -> None:
    """Count the registration or e-mail for the network address."""
    await _rate_limits(request).require(request, registrations)


async def get_limit_guesses(request: Request) -> Callable[[str], AbstractAsyncContextManager[None]]:
    """Return the context manager that counts an attempt to enter a secret, by what the secret belongs to."""
    return partial(_rate_limits(request).limit_guesses, request)


def _rate_limits(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


LimitGuessesDep = Annotated[Callable[[str], AbstractAsyncContextManager[None]], Depends(get_limit_guesses)]
