"""No secret or personal data in str, repr, chained exceptions and log lines."""

import logging
import traceback
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, record, refusal

from crm_api.hubspot import CrmRecord, HubSpotClient, RefreshTokenAuth, StaticTokenAuth, UniqueValue
from crm_api.hubspot.errors import HubSpotError

EMAIL = "ann@private.example"
PRIVATE = (
    EMAIL,
    "ann%40private.example",
    "Ann Private",
    "pat-na1-secret",
    "s3cret",
    "refresh-secret",
    "access-secret",
)
MESSAGE = f"Contact {EMAIL} Ann Private pat-na1-secret already exists. Existing ID: 7"
ROW = {
    "message": MESSAGE,
    "code": f"CODE {EMAIL}",
    "in": EMAIL,
    "context": {"propertyName": [EMAIL], "requiredGranularScopes": [EMAIL], "ids": [EMAIL]},
}
ERROR = {"category": EMAIL, "correlationId": EMAIL, "errors": [ROW], "errorType": EMAIL, "policyName": EMAIL}


def shown(error: BaseException) -> str:
    """Return all text that a logger could write about an exception and its causes."""
    parts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        parts += [str(seen), repr(seen), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


def assert_nothing_private(text: str) -> None:
    # Tracebacks quote source lines of this file, which contain only names of constants.
    assert [word for word in PRIVATE if word in text] == []


@pytest.mark.parametrize(
    "status", [302, 400, 401, 403, 404, 408, 409, 414, 423, 429, 437, 477, 500, 503, 524]
)
async def test_error_from_response_shows_no_secret_or_personal_data(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = build_client(Stub(refusal(status, MESSAGE, **ERROR)))
    with caplog.at_level(logging.DEBUG), pytest.raises(HubSpotError) as raised:
        await client.contacts.get(EMAIL, id_property="email")
    assert_nothing_private(shown(raised.value))
    for facts in ("problems", "required_scopes", "policy"):
        assert_nothing_private(repr(getattr(raised.value, facts, None)))
    assert_nothing_private(
        "\n".join(item.getMessage() for item in caplog.records if item.name.startswith("crm_api"))
    )


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout(EMAIL),
        httpx.ConnectError(EMAIL),
        httpx.LocalProtocolError(f"Illegal header value b'Bearer pat-na1-secret {EMAIL}'"),
        httpx.Response(200, content=f'{{"id": ["{EMAIL}"], "properties": {{}}}}'.encode()),
        httpx.Response(200, content=f"<html>{EMAIL}".encode()),
    ],
)
async def test_transport_and_unreadable_errors_show_no_private_data(failure: Any) -> None:
    client = build_client(Stub(failure))
    for call in (
        client.contacts.get(EMAIL, id_property="email"),
        client.contacts.create({"firstname": "Ann Private"}, unique=UniqueValue("email", EMAIL)),
        client.contacts.create({"email": EMAIL}),
    ):
        with pytest.raises(HubSpotError) as raised:
            await call
        assert_nothing_private(shown(raised.value))


def client_with_secrets() -> HubSpotClient:
    auth = RefreshTokenAuth(
        "client-id", "s3cret", "refresh-secret", "https://hubspot.test/oauth/2026-09/token"
    )
    answer = ok({"access_token": "access-secret", "expires_in": 1800, "refresh_token": "refresh-secret-2"})
    return build_client(Stub(answer, refusal(401, "access-secret")), auth=auth)


async def test_repr_of_client_parts_and_errors_shows_no_credentials() -> None:
    client = client_with_secrets()
    with pytest.raises(HubSpotError) as raised:
        await client.deals.get("1")
    for value in (
        client,
        client.sender.auth,
        client.deals,
        client.sender.quota,
        client.sender.circuits,
        StaticTokenAuth("pat-na1-secret"),
    ):
        assert_nothing_private(f"{value!r} {value}")
    assert_nothing_private(shown(raised.value))


async def test_error_and_log_of_a_rejected_grant_show_no_credentials(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = RefreshTokenAuth(
        "client-id", "s3cret", "refresh-secret", "https://hubspot.test/oauth/2026-09/token"
    )
    body = {"status": "BAD_REFRESH_TOKEN", "error": "refresh-secret s3cret", "message": "refresh-secret"}
    client = build_client(Stub(httpx.Response(400, json=body)), auth=auth)
    with caplog.at_level(logging.DEBUG), pytest.raises(HubSpotError) as raised:
        await client.deals.get("1")
    assert_nothing_private(shown(raised.value))
    assert_nothing_private(caplog.text)


def test_record_repr_shows_the_id_and_no_personal_data() -> None:
    found = CrmRecord.model_validate(record("7", email=EMAIL, firstname="Ann Private"))
    assert_nothing_private(f"{found!r} {found}")
    assert "7" in repr(found)
