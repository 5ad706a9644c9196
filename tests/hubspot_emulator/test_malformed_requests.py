"""Malformed requests: the emulator responds with HubSpot's errors and never with a 5xx."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.emulator_transport import EmulatorTransport

from hubspot_emulator import Emulator

INVALID_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "9" * 5_000,
    [],
    [[]],
    [None],
    {},
    {"x": []},
)
SPEC = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}
PAIR = {"from": {"id": "1"}, "to": {"id": "2"}}
OBJECTS, LINKS, PROPERTIES, PIPELINES = (
    "/crm/objects/2026-09",
    "/crm/associations/2026-09",
    "/crm/properties/2026-09",
    "/crm/pipelines/2026-09",
)
STAGE = {"label": "l", "displayOrder": 1, "metadata": {"probability": "0.5"}, "stageId": "9"}
OPTION = {"label": "l", "value": "v", "displayOrder": 1, "hidden": False}
PROPERTY = {"groupName": "dealinformation", "name": "n", "label": "l", "type": "string", "fieldType": "text"}
WRITE = {
    "id": "1",
    "idProperty": "email",
    "properties": {"email": "a@example.com"},
    "objectWriteTraceId": "t",
}
FILTER = {"propertyName": "amount", "operator": "BETWEEN", "value": "1", "highValue": "2"}

CALLS: tuple[tuple[str, str, Any], ...] = (
    (
        "POST",
        f"{OBJECTS}/deals",
        {"properties": {"dealname": "d", "dealstage": "closedwon", "amount": "1", "closedate": "1"}},
    ),
    ("POST", f"{OBJECTS}/deals", {"properties": {}, "associations": [{"to": {"id": "1"}, "types": [SPEC]}]}),
    (
        "PATCH",
        f"{OBJECTS}/contacts/37765128953",
        {"properties": {"email": "b@example.com", "lifecyclestage": "lead"}},
    ),
    ("POST", f"{OBJECTS}/contacts/merge", {"primaryObjectId": "1", "objectIdToMerge": "2"}),
    ("POST", f"{OBJECTS}/contacts/gdpr-delete", {"objectId": "1", "idProperty": "email"}),
    (
        "POST",
        f"{OBJECTS}/contacts/batch/read",
        {"inputs": [{"id": "1"}], "properties": ["email"], "idProperty": "email"},
    ),
    (
        "POST",
        f"{OBJECTS}/contacts/batch/create",
        {"inputs": [{**WRITE, "associations": [{"to": {"id": "1"}, "types": [SPEC]}]}]},
    ),
    ("POST", f"{OBJECTS}/deals/batch/update", {"inputs": [WRITE]}),
    ("POST", f"{OBJECTS}/contacts/batch/upsert", {"inputs": [WRITE]}),
    ("POST", f"{OBJECTS}/contacts/batch/archive", {"inputs": [{"id": "1"}]}),
    (
        "POST",
        f"{OBJECTS}/deals/search",
        {"filterGroups": [{"filters": [FILTER]}], "limit": 1, "after": "0", "query": "q"},
    ),
    (
        "POST",
        f"{OBJECTS}/deals/search",
        {"filters": [{**FILTER, "operator": "IN", "values": ["1"]}], "properties": ["amount"]},
    ),
    (
        "POST",
        f"{OBJECTS}/deals/search",
        {"filters": [{**FILTER, "propertyName": "closedate", "operator": "GT"}]},
    ),
    ("POST", f"{OBJECTS}/deals/search", {"sorts": [{"propertyName": "amount", "direction": "ASCENDING"}]}),
    ("PUT", f"{OBJECTS}/deals/1/associations/contacts/2", [SPEC]),
    ("POST", f"{LINKS}/deals/contacts/batch/read", {"inputs": [{"id": "1", "after": "MQo="}]}),
    ("POST", f"{LINKS}/deals/contacts/batch/create", {"inputs": [{**PAIR, "types": [SPEC]}]}),
    (
        "POST",
        f"{LINKS}/deals/contacts/batch/archive",
        {"inputs": [{"from": {"id": "1"}, "to": [{"id": "2"}]}]},
    ),
    ("POST", f"{LINKS}/deals/contacts/batch/associate/default", {"inputs": [PAIR]}),
    ("POST", f"{LINKS}/deals/contacts/batch/labels/archive", {"inputs": [{**PAIR, "types": [SPEC]}]}),
    ("POST", f"{LINKS}/deals/contacts/labels", {"label": "l", "name": "n", "inverseLabel": "i"}),
    ("PUT", f"{LINKS}/deals/contacts/labels", {"label": "l", "associationTypeId": 21, "inverseLabel": "i"}),
    ("POST", f"{PIPELINES}/deals", {"label": "l", "displayOrder": 1, "stages": [STAGE], "pipelineId": "p"}),
    ("PATCH", f"{PIPELINES}/deals/default", {"label": "l", "displayOrder": 1, "archived": False}),
    ("PUT", f"{PIPELINES}/deals/default", {"label": "l", "displayOrder": 1, "stages": [STAGE]}),
    ("POST", f"{PIPELINES}/deals/default/stages", STAGE),
    (
        "PATCH",
        f"{PIPELINES}/tickets/0/stages/1",
        {"label": "l", "displayOrder": 1, "metadata": {"ticketState": "OPEN"}},
    ),
    (
        "POST",
        f"{PROPERTIES}/deals",
        {**PROPERTY, "options": [OPTION], "hasUniqueValue": True, "displayOrder": 1},
    ),
    (
        "PATCH",
        f"{PROPERTIES}/deals/amount",
        {"label": "l", "type": "number", "fieldType": "number", "options": [OPTION]},
    ),
    ("POST", f"{PROPERTIES}/deals/batch/create", {"inputs": [{**PROPERTY, "options": [OPTION]}]}),
    ("POST", f"{PROPERTIES}/deals/batch/read", {"inputs": [{"name": "amount"}], "archived": False}),
    ("POST", f"{PROPERTIES}/deals/groups", {"name": "g", "label": "l", "displayOrder": 1}),
    ("PATCH", f"{PROPERTIES}/deals/groups/dealinformation", {"label": "l", "displayOrder": 1}),
)


def corrupted(value: Any) -> Iterator[Any]:
    """Yield copies of the value in which one part is missing or replaced by an invalid value."""
    yield from INVALID_VALUES
    if isinstance(value, dict):
        for name, part in value.items():
            yield {other: member for other, member in value.items() if other != name}
            for bad in corrupted(part):
                yield {**value, name: bad}
    elif isinstance(value, list):
        for bad in corrupted(value[0]):
            yield [bad]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda value: str(value)[:40])
async def test_corrupted_body_never_causes_5xx(emulator: Emulator, method: str, path: str, body: Any) -> None:
    headers = {"Authorization": "Bearer demo", "Accept": "application/json"}
    emulator.seed({"contacts": [{"email": "a@example.com"}]})
    async with httpx.AsyncClient(
        transport=EmulatorTransport(emulator), base_url="http://x", headers=headers
    ) as hubspot:
        for bad in corrupted(body):
            response = await hubspot.request(method, path, json=bad)
            assert response.status_code < 500, response.text
            for read in (f"{OBJECTS}/contacts", f"{PIPELINES}/deals", f"{PROPERTIES}/deals"):
                assert (await hubspot.get(read)).status_code == 200


@pytest.mark.parametrize("value", ["9" * 5_000, "-1", "x", "%00", "%FF", "%E2%82", "٣", "a/b", ".."])
@pytest.mark.parametrize(
    "path",
    [
        f"{OBJECTS}/deals/{{}}",
        f"{OBJECTS}/contacts/{{}}?idProperty=email",
        f"{OBJECTS}/contacts/1?idProperty={{}}",
        f"{OBJECTS}/deals?after={{}}",
        f"{OBJECTS}/deals?limit={{}}",
        f"{OBJECTS}/deals?properties={{}}&associations={{}}&archived={{}}",
        f"{OBJECTS}/contacts/1/associations/deals?after={{}}",
        f"{PIPELINES}/deals/{{}}",
        f"{PROPERTIES}/deals/{{}}",
        "/crm/owners/2026-09/{}",
        "/{}",
    ],
)
async def test_malformed_url_never_causes_5xx(hubspot: httpx.AsyncClient, path: str, value: str) -> None:
    assert (await hubspot.get(path.replace("{}", value))).status_code < 500
