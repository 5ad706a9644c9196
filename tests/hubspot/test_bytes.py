"""Bytes of every call on httpx's own transport: method, path, query, headers and body."""

import json
from typing import Any

import httpx
import pytest
import respx
from tests.hubspot.calls import CALLS

from crm_api.hubspot import HubSpotClient, RefreshTokenAuth, StaticTokenAuth, token_url
from crm_api.hubspot.errors import HubSpotError

BASE_URL = "https://api.hubapi.com"
OBJECTS = "/crm/objects/2026-09"
LINKS = [
    {"to": {"id": "5"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]},
    {"to": {"id": "6"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 27}]},
]
PAIR = [{"id": "1"}, {"id": "2"}]

# Method, path with encoded query, JSON body.
EXPECTED: dict[str, tuple[str, str, Any]] = {
    "create": (
        "POST",
        f"{OBJECTS}/deals",
        {"properties": {"dealname": "A", "k": "v"}, "associations": LINKS},
    ),
    "create alone": ("POST", f"{OBJECTS}/contacts", {"properties": {"email": "a@b.co"}}),
    "get": ("GET", f"{OBJECTS}/deals/1?properties=a%2Cb&associations=contacts%2Ctickets", None),
    "get by property": ("GET", f"{OBJECTS}/contacts/a%40b.co?idProperty=email", None),
    "update": ("PATCH", f"{OBJECTS}/tickets/1", {"properties": {"subject": "x"}}),
    "archive": ("DELETE", f"{OBJECTS}/tickets/1", None),
    "list": ("GET", f"{OBJECTS}/deals?limit=10&after=5&properties=a&associations=contacts", None),
    "search": (
        "POST",
        f"{OBJECTS}/deals/search",
        {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "amount", "operator": "BETWEEN", "value": "1", "highValue": "2"},
                        {"propertyName": "pipeline", "operator": "IN", "values": ["a"]},
                    ]
                }
            ],
            "query": "x",
            "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}],
            "properties": ["dealname"],
            "limit": 100,
            "after": "10",
        },
    ),
    "search for anything": ("POST", f"{OBJECTS}/contacts/search", {"limit": 100}),
    "batch read": ("POST", f"{OBJECTS}/deals/batch/read", {"inputs": PAIR, "properties": ["a"]}),
    "association batch read": (
        "POST",
        "/crm/associations/2026-09/deals/contacts/batch/read",
        {"inputs": PAIR},
    ),
    "pipelines": ("GET", "/crm/pipelines/2026-09/deals", None),
    "properties": ("GET", "/crm/properties/2026-09/contacts", None),
    "property": ("GET", "/crm/properties/2026-09/contacts/email", None),
    "property create": (
        "POST",
        "/crm/properties/2026-09/tickets",
        {
            "name": "k",
            "label": "K",
            "groupName": "g",
            "type": "string",
            "fieldType": "text",
            "description": "",
            "hasUniqueValue": True,
            "hidden": False,
        },
    ),
    "property update": (
        "PATCH",
        "/crm/properties/2026-09/tickets/k",
        {"options": [{"label": "X", "value": "x", "displayOrder": -1, "hidden": False}]},
    ),
    "property group create": ("POST", "/crm/properties/2026-09/tickets/groups", {"name": "g", "label": "G"}),
    "object schema": (
        "GET",
        (
            "/crm-object-schemas/2026-09/schemas/deals?includePropertyDefinitions=false"
            "&includeAssociationDefinitions=false&includeAuditMetadata=false"
        ),
        None,
    ),
    "account": ("GET", "/account-info/2026-09/details", None),
}


def test_every_example_call_has_an_expected_request() -> None:
    assert set(EXPECTED) == set(CALLS)


@pytest.mark.parametrize("call", CALLS)
async def test_client_call_sends_the_expected_request(call: str) -> None:
    method, path, body = EXPECTED[call]
    client = HubSpotClient(base_url=BASE_URL, auth=StaticTokenAuth("pat-na1-not-a-real-one"))
    with respx.mock() as router:
        router.route().mock(httpx.Response(418))
        with pytest.raises(HubSpotError):
            await CALLS[call](client)
        [sent] = [routed.request for routed in router.calls]
    await client.aclose()
    assert (sent.method, str(sent.url)) == (method, BASE_URL + path)
    assert sent.headers["authorization"] == "Bearer pat-na1-not-a-real-one"
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["user-agent"].startswith("crm-api/")
    if body is None:
        assert sent.content == b""
        assert "content-type" not in sent.headers
    else:
        assert json.loads(sent.content) == body
        assert sent.headers["content-type"] == "application/json"


async def test_token_request_has_secrets_only_in_its_body() -> None:
    auth = RefreshTokenAuth("an id", "a+secret", "na1-refresh", token_url(BASE_URL, "2026-09"))
    client = HubSpotClient(base_url=BASE_URL, auth=auth)
    with respx.mock() as router:
        router.route().mock(httpx.Response(418))
        with pytest.raises(HubSpotError):
            await client.deals.get("1")
        [sent] = [routed.request for routed in router.calls]
    await client.aclose()
    assert (sent.method, str(sent.url)) == ("POST", f"{BASE_URL}/oauth/2026-09/token")
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in sent.headers
    assert sent.content == (
        b"grant_type=refresh_token&client_id=an+id&client_secret=a%2Bsecret&refresh_token=na1-refresh"
    )
