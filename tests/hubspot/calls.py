"""One example of every call that the client can make."""

from collections.abc import Awaitable, Callable
from typing import Any

from crm_api.hubspot import (
    BatchInput,
    Filter,
    HubSpotClient,
    NewAssociation,
    PropertyOption,
    SearchRequest,
    Sort,
    UniqueValue,
)

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
    "account": lambda c: c.account.details(),
    "property group create": lambda c: c.properties.create_group("tickets", name="g", label="G"),
}
