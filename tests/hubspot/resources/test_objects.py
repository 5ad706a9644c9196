"""Calls on contacts, deals and tickets."""

from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, record, refusal

from crm_api.hubspot import CrmRecord, Filter, ObjectsApi, SearchRequest, Sort
from crm_api.hubspot.errors import HubSpotNotFoundError


def page(*ids: str, after: str | None = None, **members: Any) -> dict[str, Any]:
    paging = {"paging": {"next": {"after": after, "link": "https://elsewhere.test/v3"}}} if after else {}
    return {"results": [record(item) for item in ids], **paging, **members}


def deals(*replies: Any) -> tuple[Stub, ObjectsApi]:
    stub = Stub(*replies)
    return stub, build_client(stub).deals


async def test_get_sends_properties_and_associations() -> None:
    stub, api = deals(ok(record("33", dealname="A")))
    found = await api.get("33", properties=["dealname", "amount"], associations=["contacts", "tickets"])
    assert found.id == "33"
    [(method, target)] = stub.sent
    assert method == "GET"
    assert (
        target == "/crm/objects/2026-09/deals/33?properties=dealname%2Camount&associations=contacts%2Ctickets"
    )


@pytest.mark.parametrize(
    ("value", "on_the_wire"),
    [("a+b@x.co", "a%2Bb@x.co"), ("a/b%c@x.co", "a%2Fb%25c@x.co"), ("a b?#", "a%20b%3F%23"), ("é", "%C3%A9")],
)
async def test_get_by_unique_value_quotes_the_value_in_the_path(value: str, on_the_wire: str) -> None:
    stub = Stub(ok(record()))
    await build_client(stub).contacts.get(value, id_property="email")
    target = stub.sent[0][1].replace("%40", "@")
    assert target == f"/crm/objects/2026-09/contacts/{on_the_wire}?idProperty=email"


@pytest.mark.parametrize("record_id", ["", ".", ".."])
async def test_id_that_no_path_can_hold_raises_not_found(record_id: str) -> None:
    stub, api = deals(ok(record()))
    for call in (api.get(record_id), api.update(record_id, {}), api.archive(record_id)):
        with pytest.raises(HubSpotNotFoundError) as raised:
            await call
        assert not raised.value.sent
    assert stub.requests == []


async def test_update_sends_properties() -> None:
    stub, api = deals(ok(record("33", amount="")))
    await api.update("33", {"amount": "", "dealname": "B"})
    assert stub.sent == [("PATCH", "/crm/objects/2026-09/deals/33")]
    assert stub.body() == {"properties": {"amount": "", "dealname": "B"}}


async def test_update_and_archive_are_retried_after_lost_response() -> None:
    stub, api = deals(httpx.ReadTimeout("slow"), ok(record()))
    await api.update("33", {"amount": "1"})
    assert stub.sent == [("PATCH", "/crm/objects/2026-09/deals/33")] * 2
    stub, api = deals(refusal(502), httpx.Response(204))
    await api.archive("33")
    assert stub.sent == [("DELETE", "/crm/objects/2026-09/deals/33")] * 2
    assert stub.requests[0].content == b""


async def test_list_page_sends_parameters_and_returns_next_cursor() -> None:
    stub, api = deals(ok(page("1", "2", after="2")))
    found = await api.list_page(limit=2, after="0", properties=["dealname"], associations=["contacts"])
    assert [item.id for item in found.results] == ["1", "2"]
    assert found.after == "2"
    target = "/crm/objects/2026-09/deals?limit=2&after=0&properties=dealname&associations=contacts"
    assert stub.sent == [("GET", target)]


@pytest.mark.parametrize("last", [{}, {"paging": None}, {"paging": {}}, {"paging": {"next": None}}])
async def test_last_list_page_has_no_next_cursor(last: dict[str, Any]) -> None:
    _, api = deals(ok({"results": [], **last}))
    assert (await api.list_page(limit=1)).after is None


async def test_numeric_ids_and_page_cursors_become_strings() -> None:
    body = {"results": [record() | {"id": 7}], "paging": {"next": {"after": 7}}}
    found = await deals(ok(body))[1].list_page(limit=1)
    assert (found.results[0].id, found.after) == ("7", "7")


async def test_search_sends_all_fields_of_the_search_request() -> None:
    stub, api = deals(ok(page("1", total=1)))
    found = await api.search(
        SearchRequest(
            filter_groups=[
                [
                    Filter("amount", "BETWEEN", value="1", high_value="2"),
                    Filter("dealstage", "IN", values=["a"]),
                ],
                [Filter("dealname", "HAS_PROPERTY")],
            ],
            query="jane",
            sort=Sort("createdate", "DESCENDING"),
            properties=["dealname"],
            limit=20,
            after="40",
        )
    )
    assert (found.total, found.after) == (1, None)
    assert stub.sent == [("POST", "/crm/objects/2026-09/deals/search")]
    assert stub.body() == {
        "filterGroups": [
            {
                "filters": [
                    {"propertyName": "amount", "operator": "BETWEEN", "value": "1", "highValue": "2"},
                    {"propertyName": "dealstage", "operator": "IN", "values": ["a"]},
                ]
            },
            {"filters": [{"propertyName": "dealname", "operator": "HAS_PROPERTY"}]},
        ],
        "query": "jane",
        "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}],
        "properties": ["dealname"],
        "limit": 20,
        "after": "40",
    }


async def test_search_omits_absent_fields_and_is_retried() -> None:
    stub, api = deals(refusal(502), ok(page(total=0)))
    await api.search(SearchRequest())
    assert stub.body() == {"limit": 100}
    assert len(stub.requests) == 2


async def test_search_uses_only_the_search_budget() -> None:
    client = build_client(Stub(ok(page(total=0))))
    await client.deals.search(SearchRequest())
    await client.deals.list_page(limit=1)
    used = client.sender.quota.snapshot()
    assert (used["search_used"], used["burst_used"]) == (1, 1)


async def test_api_version_changes_the_paths() -> None:
    stub = Stub(ok(record()))
    await build_client(stub, api_version="2027-03-beta").tickets.get("1")
    assert stub.sent == [("GET", "/crm/objects/2027-03-beta/tickets/1")]


@pytest.mark.parametrize("properties", [{"a": None}, {"a": ""}, {}])
def test_record_get_returns_none_for_null_empty_or_absent_value(properties: dict[str, str | None]) -> None:
    assert CrmRecord.model_validate(record() | {"properties": properties}).get("a") is None


def test_inline_associations_have_unique_ids_and_next_cursor() -> None:
    rows = [
        {"id": "5", "type": "deal_to_contact"},
        {"id": 6},
        {"id": "5", "type": "deal_to_contact_unlabeled"},
    ]
    found = CrmRecord.model_validate(
        record() | {"associations": {"contacts": {"results": rows, "paging": {"next": {"after": "9"}}}}}
    )
    assert (found.associated("contacts").ids, found.associated("contacts").after) == (["5", "6"], "9")
    assert (found.associated("tickets").ids, found.associated("tickets").after) == ([], None)


async def test_record_without_timestamps_is_read_without_them() -> None:
    read = await deals(ok({"id": "1", "properties": {}}))[1].get("1")
    assert (read.id, read.created_at, read.updated_at) == ("1", None, None)
