"""Every request of the client against HubSpot's published documents, where HUBSPOT_OPENAPI_DIR names them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from tests.hubspot.stubs import BASE_URL, Stub, build_client, refusal
from tests.support.hubspot_contract import Exchange, HubSpotContract, published_contract

from crm_api.hubspot import (
    BatchInput,
    Filter,
    HubSpotClient,
    NewAssociation,
    PropertyOption,
    RefreshTokenAuth,
    SearchRequest,
    Sort,
    UniqueValue,
    token_url,
)
from crm_api.hubspot.errors import HubSpotError

LINKS = [NewAssociation("contacts", "5"), NewAssociation("tickets", "6")]
SEARCH = SearchRequest(
    filter_groups=[
        [Filter("amount", "BETWEEN", value="1", high_value="2"), Filter("pipeline", "IN", values=["a"])]
    ],
    query="x",
    sort=Sort("createdate", "DESCENDING"),
    properties=["dealname"],
    after="10",
)
OPTION = PropertyOption(label="X", value="x")

CALLS: dict[str, Callable[[HubSpotClient], Awaitable[Any]]] = {
    "create": lambda c: c.deals.create({"dealname": "A"}, associations=LINKS, unique=UniqueValue("k", "v")),
    "create alone": lambda c: c.contacts.create({"email": "a@b.co"}),
    "get": lambda c: c.deals.get("1", properties=["a", "b"], associations=["contacts", "tickets"]),
    "get by property": lambda c: c.contacts.get("a@b.co", id_property="email"),
    "update": lambda c: c.tickets.update("1", {"subject": "x"}),
    "update by property": lambda c: c.contacts.update("a@b.co", {"phone": ""}, id_property="email"),
    "archive": lambda c: c.tickets.archive("1"),
    "list": lambda c: c.deals.list_page(limit=10, after="5", properties=["a"], associations=["contacts"]),
    "search": lambda c: c.deals.search(SEARCH),
    "search for anything": lambda c: c.contacts.search(SearchRequest()),
    "merge": lambda c: c.contacts.merge("1", "2"),
    "batch read": lambda c: c.deals.batch_read(["1", "2"], properties=["a"]),
    "batch read by property": lambda c: c.contacts.batch_read(["a@b.co"], id_property="email"),
    "batch create": lambda c: c.deals.batch_create([BatchInput({"dealname": "A"}, associations=LINKS)]),
    "batch update": lambda c: c.deals.batch_update([BatchInput({"amount": "1"}, id="1")]),
    "batch upsert": lambda c: c.contacts.batch_upsert([BatchInput({}, id="a@b.co", id_property="email")]),
    "batch archive": lambda c: c.deals.batch_archive(["1"]),
    "association batch read": lambda c: c.associations.batch_read("deals", "contacts", ["1", "2"]),
    "association list": lambda c: c.associations.list_page("deals", "1", "contacts", after="x"),
    "association create default": lambda c: c.associations.create_default("deals", "1", "contacts", "2"),
    "association archive": lambda c: c.associations.archive("deals", "1", "contacts", "2"),
    "association batch create": lambda c: c.associations.batch_create("deals", "contacts", [("1", "2")]),
    "association labels": lambda c: c.associations.labels("deals", "contacts"),
    "pipelines": lambda c: c.pipelines.list("deals"),
    "properties": lambda c: c.properties.list("contacts"),
    "property": lambda c: c.properties.get("contacts", "email"),
    "property create": lambda c: c.properties.create(
        "tickets",
        name="k",
        label="K",
        group_name="g",
        type="string",
        field_type="text",
        has_unique_value=True,
    ),
    "property update": lambda c: c.properties.update("tickets", "k", options=[OPTION]),
    "property group create": lambda c: c.properties.create_group("tickets", name="g", label="G"),
}


@pytest.fixture
def contract() -> HubSpotContract:
    """HubSpot's documents."""
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
        answer=None,
    )


@pytest.mark.parametrize("call", CALLS)
async def test_each_request_is_one_that_hubspot_documents(call: str, contract: HubSpotContract) -> None:
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await CALLS[call](build_client(stub))
    [request] = stub.requests
    exchange = exchange_of(request)
    assert contract.applies_to(exchange)
    assert contract.request_problems(exchange) == []


async def test_the_token_request_is_one_that_hubspot_documents(contract: HubSpotContract) -> None:
    auth = RefreshTokenAuth("id", "secret", "refresh", token_url(BASE_URL, "2026-09"))
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await build_client(stub, auth=auth).deals.get("1")
    exchange = exchange_of(stub.requests[0])
    assert contract.applies_to(exchange)
    assert contract.request_problems(exchange) == []


async def test_the_contract_would_notice(contract: HubSpotContract) -> None:
    stub = Stub(refusal(418))
    with pytest.raises(HubSpotError):
        await build_client(stub).request(
            "POST",
            "/crm/objects/2026-09/deals",
            operation="t",
            json={"properties": {"a": 1}},
            idempotent=False,
        )
    assert contract.request_problems(exchange_of(stub.requests[0])) != []
