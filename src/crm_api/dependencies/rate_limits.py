"""The limits that routes of people whom nobody knows yet share; `dependencies.authenticate` has the users'."""

from typing import Annotated

from fastapi import Depends, Request

from crm_api.rate_limit import RateLimits, registrations, user_requests


async def get_rate_limits(request: Request) -> RateLimits:
    """The application's limits."""
    limits: RateLimits = request.app.state.rate_limits
    return limits


RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]


async def limit_address(request: Request) -> None:
    """Count the request of somebody unknown against what one network address may ask for."""
    limits = await get_rate_limits(request)
    await limits.require(request, user_requests)


async def limit_registrations(request: Request) -> None:
    """Count against what one network address may register or have mailed."""
    limits = await get_rate_limits(request)
    await limits.require(request, registrations)
