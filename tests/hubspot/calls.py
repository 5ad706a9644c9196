"""One example of every call of the client."""

from collections.abc import Awaitable, Callable
from typing import Any

from crm_api.hubspot import (
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
    "archive": lambda c: c.tickets.archive("1"),
    "list": lambda c: c.deals.list_page(limit=10, after="5", properties=["a"], associations=["contacts"]),
    "search": lambda c: c.deals.search(SEARCH),
    "search for anything": lambda c: c.contacts.search(SearchRequest()),
    "batch read": lambda c: c.deals.batch_read(["1", "2"], properties=["a"]),
    "association batch read": lambda c: c.associations.batch_read("deals", "contacts", ["1", "2"]),
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
    "object schema": lambda c: c.object_schemas.list("deals"),
    "account": lambda c: c.account.details(),
    "property group create": lambda c: c.properties.create_group("tickets", name="g", label="G"),
}
