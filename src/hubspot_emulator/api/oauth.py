"""OAuth: token, introspection and revocation, and the v1 routes.

https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/tokens
"""

from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call
from hubspot_emulator.wire.replies import Refusal, Reply

_SCOPES = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.schemas.contacts.write",
    "crm.schemas.deals.write",
    "crm.schemas.tickets.write",
    "tickets",
]
_APP_ID, _USER_ID = 2_345_678, 9_876_543


def token(account: Account, call: Call) -> Reply:
    form = call.form()
    if not form and call.version.text == "v1":
        # HubSpot's v1 also reads query parameters.
        form = {name: values[0] for name, values in call.query.items()}
    _check_client(account, form)
    grant = form.get("grant_type")
    if grant == "refresh_token":
        refresh_token = account.tokens.renew(form.get("refresh_token", ""))
        if refresh_token is None:
            raise _oauth_refusal(
                "BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked", error="invalid_grant"
            )
    elif grant == "authorization_code":
        # Any code is accepted because the emulator has no consent page.
        if not form.get("code"):
            raise _oauth_refusal("BAD_AUTH_CODE", "missing or unknown auth code", error="invalid_grant")
        if not form.get("redirect_uri"):
            raise _oauth_refusal(
                "BAD_REDIRECT_URI", "missing or unknown redirect uri", error="invalid_request"
            )
        refresh_token = account.tokens.issue_refresh_token()
    else:
        raise _oauth_refusal(
            "BAD_GRANT_TYPE", f"missing or unknown grant type: {grant}", error="unsupported_grant_type"
        )
    return Reply(
        200,
        {
            "access_token": account.tokens.issue(),
            "refresh_token": refresh_token,
            "expires_in": int(account.tokens.lifetime_seconds),
            "token_type": "bearer",
            "token_use": "access_token",
            "hub_id": account.portal_id,
            "user_id": _USER_ID,
            "scopes": _scopes(account),
        },
    )


def introspect(account: Account, call: Call) -> Reply:
    form = call.form()
    _check_client(account, form)
    text = form.get("token") or form.get("access_token") or form.get("refresh_token") or ""
    return Reply(200, _describe_token(account, text) or {"active": False})


def revoke(account: Account, call: Call) -> Reply:
    form = call.form()
    _check_client(account, form)
    account.tokens.revoke(form.get("token") or form.get("refresh_token") or form.get("access_token") or "")
    return Reply(200, {})


def legacy_token(account: Account, call: Call) -> Reply:
    text = call.path_parameters["token"]
    description = _describe_token(account, text)
    if description is None:
        raise Refusal(404, "token not found", category="OBJECT_NOT_FOUND")
    # https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/tokens
    kind = "access" if description["token_use"] == "access_token" else "refresh"
    names = ("token", "user", "hub_domain", "scopes", "hub_id", "user_id")
    own = ("app_id", "expires_in") if kind == "access" else ("client_id",)
    return Reply(200, {name: description[name] for name in (*names, *own)} | {"token_type": kind})


def legacy_revoke(account: Account, call: Call) -> Reply:
    account.tokens.revoke(call.path_parameters["token"])
    return Reply(204)


def _describe_token(account: Account, text: str) -> dict[str, Any] | None:
    common = {
        "active": True,
        "token": text,
        "token_type": "bearer",
        "client_id": account.tokens.client_id,
        "app_id": _APP_ID,
        "hub_id": account.portal_id,
        "hub_domain": "demo.hubspot.example",
        "user_id": _USER_ID,
        "user": "demo@example.com",
        "scopes": _scopes(account),
        "is_private_distribution": True,
    }
    if account.tokens.is_valid_refresh_token(text):
        return common | {"token_use": "refresh_token"}
    seconds = account.tokens.remaining_seconds(text)
    if seconds is None:
        return None
    return common | {"token_use": "access_token", "expires_in": seconds}


def _scopes(account: Account) -> list[str]:
    return _SCOPES if account.switches.scopes is None else list(account.switches.scopes)


def _check_client(account: Account, form: dict[str, str]) -> None:
    if form.get("client_id") != account.tokens.client_id:
        raise _oauth_refusal("BAD_CLIENT_ID", "missing or unknown client id", error="invalid_client")
    if form.get("client_secret") != account.tokens.client_secret:
        raise _oauth_refusal("BAD_CLIENT_SECRET", "missing or invalid client secret", error="invalid_client")


def _oauth_refusal(status: str, message: str, *, error: str) -> Refusal:
    # HubSpot sends a code as `status` here, and neither a category nor a correlation ID:
    # https://github.com/NangoHQ/nango/pull/7664
    extra = {"status": status, "error": error, "error_description": message, "correlationId": None}
    return Refusal(400, message, extra=extra)
