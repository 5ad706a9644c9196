"""Batch reads of associations, with paging and errors."""

import json
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, refusal

from crm_api.hubspot.errors import HubSpotServerError

BATCH = ("POST", "/crm/associations/2026-09/deals/contacts/batch/read")


def entry(from_id: Any, *to_ids: Any, after: str | None = None) -> dict[str, Any]:
    types = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
    paging = {"paging": {"next": {"after": after}}} if after else {}
    return {
        "from": {"id": from_id},
        "to": [{"toObjectId": item, "associationTypes": types} for item in to_ids],
        **paging,
    }


def without_associations(*ids: str) -> dict[str, Any]:
    rows = [
        {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
            "message": f"No contact is associated with deal {item}.",
            "context": {"fromObjectId": [item], "fromObjectType": ["deal"], "toObjectType": ["contact"]},
        }
        for item in ids
    ]
    return {"numErrors": len(rows), "errors": rows}


async def read(stub: Stub, *ids: str) -> Any:
    return await build_client(stub).associations.batch_read("deals", "contacts", ids)


async def test_association_batch_read_sends_each_id_once() -> None:
    stub = Stub(ok({"status": "COMPLETE", "results": [entry("2", 7, 6), entry("1", "5")]}))
    result = await read(stub, "1", "2", "1")
    assert stub.sent == [BATCH]
    assert stub.body() == {"inputs": [{"id": "1"}, {"id": "2"}]}
    assert result.targets == {"1": ["5"], "2": ["7", "6"]}
    assert list(result.targets) == ["1", "2"]
    assert result.failed == set()


async def test_records_without_associations_have_empty_lists() -> None:
    result = await read(
        Stub(ok({"results": [entry("1", "5")], **without_associations("2", "3")}, 207)), "1", "2", "3"
    )
    assert result.targets == {"1": ["5"], "2": [], "3": []}
    assert result.failed == set()


async def test_target_with_several_labels_is_returned_once() -> None:
    assert (await read(Stub(ok({"results": [entry("1", "5", 6, 5)]})), "1")).targets == {"1": ["5", "6"]}


async def test_next_association_page_is_read_only_for_records_with_one() -> None:
    stub = Stub(
        ok({"results": [entry("1", "a", after="NTI1Cg%3D%3D"), entry("2", "x"), entry("3", "p", after="q")]}),
        ok({"results": [entry("1", "b", after="m"), entry("3", "p", "r")]}),
        ok({"results": [entry("1", "c")]}),
    )
    result = await read(stub, "1", "2", "3")
    assert result.targets == {"1": ["a", "b", "c"], "2": ["x"], "3": ["p", "r"]}
    assert [json.loads(item.content)["inputs"] for item in stub.requests[1:]] == [
        [{"id": "1", "after": "NTI1Cg%3D%3D"}, {"id": "3", "after": "q"}],
        [{"id": "1", "after": "m"}],
    ]


async def test_repeated_page_cursor_marks_the_record_failed() -> None:
    stub = Stub(ok({"results": [entry("1", "a", after="x")]}))
    result = await read(stub, "1")
    assert result.targets == {"1": ["a"]}
    assert result.failed == {"1"}
    assert len(stub.requests) == 2


async def test_next_page_missing_in_response_marks_the_record_failed() -> None:
    first = ok(
        {"results": [entry("1", "a", after="x"), entry("2", "b", after="y"), entry("3", "c", after="z")]}
    )
    second = ok({"results": [entry("2", "d")], **without_associations("3")}, 207)
    result = await read(Stub(first, second), "1", "2", "3", "4")
    assert result.targets == {"1": ["a"], "2": ["b", "d"], "3": ["c"], "4": []}
    assert result.failed == {"1"}


async def test_error_on_a_later_association_page_marks_record_failed() -> None:
    stub = Stub(ok({"results": [entry("1", "a", after="x"), entry("2", "b")]}), refusal(400))
    result = await read(stub, "1", "2")
    assert result.targets == {"1": ["a"], "2": ["b"]}
    assert result.failed == {"1"}


async def test_error_on_the_first_association_page_is_raised() -> None:
    with pytest.raises(HubSpotServerError):
        await read(Stub(refusal(502)), "1")


async def test_error_row_marks_the_records_with_its_ids_failed() -> None:
    error = {"category": "VALIDATION_ERROR", "message": "x", "context": {"fromObjectId": ["2"]}}
    result = await read(Stub(ok({"results": [entry("1", "5")], "errors": [error]}, 207)), "1", "2")
    assert result.targets == {"1": ["5"], "2": []}
    assert result.failed == {"2"}


async def test_error_row_without_ids_marks_omitted_records_failed() -> None:
    error = {"category": "INTERNAL", "message": "x"}
    body = {"results": [entry("1", "5")], "errors": [error, *without_associations("3")["errors"]]}
    result = await read(Stub(ok(body, 207)), "1", "2", "3")
    assert result.failed == {"2"}


async def test_association_read_of_1001_ids_is_split_into_two_calls() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return ok({"results": [entry(item["id"], "5") for item in json.loads(request.content)["inputs"]]})

    stub = Stub(answer)
    ids = [str(item) for item in range(1001)]
    result = await read(stub, *ids)
    assert sorted(len(json.loads(item.content)["inputs"]) for item in stub.requests) == [1, 1000]
    assert list(result.targets) == ids


async def test_association_batch_read_without_ids_sends_nothing() -> None:
    stub = Stub(refusal(500))
    assert (await read(stub)).targets == {}
    assert stub.requests == []
