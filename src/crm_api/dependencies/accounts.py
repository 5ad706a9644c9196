"""Dependencies of the account routes: the request's origin, and the account context."""

from typing import Annotated, Final

from fastapi import Depends, Request

from crm_api.dependencies.app_state import get_session_factory, get_settings
from crm_api.rate_limit import client_address, client_networks
from crm_api.services.accounts.context import AccountContext
from crm_api.services.accounts.emails import Messages
from crm_api.services.audit import Origin

MAX_USER_AGENT: Final = 200


async def get_origin(request: Request) -> Origin:
    """Return the origin of the request for the audit log and sessions.

    The actor is `user` only after authentication.
    """
    return Origin(
        actor="user" if getattr(request.state, "user_id", None) else "anonymous",
        # An IPv6 address may contain a zone of any length.
        address=client_address(request)[:45],
        user_agent=_user_agent(request),
        request_id=request.state.request_id,
    )


def _user_agent(request: Request) -> str | None:
    """Return the start of the User-Agent header without control characters, or None without a header."""
    sent = request.headers.get("user-agent", "")[:MAX_USER_AGENT]
    return "".join(filter(str.isprintable, sent)).strip() or None


async def get_account_context(request: Request) -> AccountContext:
    """Return the account context. A route that requires a login must declare `CurrentUser` before it."""
    state = request.app.state
    settings = await get_settings(request)
    return AccountContext(
        session_factory=await get_session_factory(request),
        # All addresses of a caller's largest network take one turn.
        passwords=state.passwords.for_caller(client_networks(request)[-1]),
        rules=state.account_rules,
        messages=Messages(settings.app_public_url, state.mail.send),
        links=state.contact_links,
        fields=state.record_fields,
        versions=state.record_versions,
        delete_cached_reads=state.read_cache.delete_user if state.read_cache is not None else None,
        origin=await get_origin(request),
    )


AccountContextDep = Annotated[AccountContext, Depends(get_account_context)]
