"""Every request of the client checked against HubSpot's OpenAPI documents in HUBSPOT_OPENAPI_DIR."""

import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from tests.hubspot.calls import CALLS
from tests.hubspot.stubs import BASE_URL, AnyJson, Stub, build_client, refusal
from tests.support.hubspot_contract import Exchange, HubSpotContract, published_contract

from crm_api.hubspot import RefreshTokenAuth, token_url
from crm_api.hubspot.errors import HubSpotError


@pytest.fixture
def contract() -> HubSpotContract:
    """HubSpot's OpenAPI documents."""
    published = published_contract()
    if published is None:
        pytest.skip("HUBSPOT_OPENAPI_DIR does not name HubSpot's documents")
    return published


def exchange_of(request: httpx.Request) -> Exchange:
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    body: Any = None
    if request.content:
        text = request.content.decode()
        body = {name: values[0] for name, values in parse_qs(text).items()} if form else json.loads(text)
    return Exchange(
        method=request.method,
        path=request.url.path,
        query=dict(request.url.params.multi_items()),
        body=body,
        status=200,
        response=None,
    )


# The documents do not describe the endpoints of the account and of object schemas.
@pytest.mark.parametrize("call", sorted(set(CALLS) - {"account", "object schema"}))
async def test_request_matches_hubspot_openapi_document(call: str, contract: HubSpotContract) -> None:
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await CALLS[call](build_client(stub))
    [request] = stub.requests
    exchange = exchange_of(request)
    assert contract.applies_to(exchange)
    assert contract.request_problems(exchange) == []


async def test_token_request_matches_hubspot_openapi_document(contract: HubSpotContract) -> None:
    auth = RefreshTokenAuth("id", "secret", "refresh", token_url(BASE_URL, "2026-09"))
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await build_client(stub, auth=auth).deals.get("1")
    exchange = exchange_of(stub.requests[0])
    assert contract.applies_to(exchange)
    assert contract.request_problems(exchange) == []


async def test_contract_check_reports_an_invalid_request(contract: HubSpotContract) -> None:
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await build_client(stub).sender.request(
            "POST",
            "/crm/objects/2026-09/deals",
            operation="t",
            json={"properties": {"a": 1}},
            idempotent=False,
            response=AnyJson,
        )
    assert contract.request_problems(exchange_of(stub.requests[0])) != []
