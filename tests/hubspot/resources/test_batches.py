"""Batches: split, at once, de-duplicated, and every input accounted for."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, record, refusal

from crm_api.hubspot import BatchInput, NewAssociation
from crm_api.hubspot.errors import HubSpotServerError, HubSpotValidationError
from crm_api.hubspot.wire import BatchItemFailure

READ = ("POST", "/crm/objects/2026-09/deals/batch/read")
NOT_FOUND = "Could not get some DEAL objects, they may be deleted or not exist. Check that ids are valid."


def missing(*ids: str) -> dict[str, Any]:
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": NOT_FOUND,
        "context": {"ids": list(ids)},
    }
    return {"numErrors": 1, "errors": [error]}


def found_and(*ids: str, **members: Any) -> httpx.Response:
    body = {"status": "COMPLETE", "results": [record(each) for each in ids], **members}
    return ok(body, 207 if members else 200)


def asked(request: httpx.Request) -> list[str]:
    return [each["id"] for each in json.loads(request.content)["inputs"]]


class TestRead:
    """`batch_read`."""

    async def test_bytes(self) -> None:
        stub = Stub(found_and("2", "1"))
        result = await build_client(stub).deals.batch_read(["1", "2", "1"], properties=["a", "b", "a"])
        assert stub.sent == [READ]
        assert stub.body() == {"inputs": [{"id": "1"}, {"id": "2"}], "properties": ["a", "b"]}
        assert list(result.records) == ["1", "2"]
        assert result.missing == []

    async def test_nothing_asked_is_nothing_sent(self) -> None:
        stub = Stub(refusal(500))
        result = await build_client(stub).deals.batch_read([])
        assert (result.records, result.missing) == ({}, [])
        assert stub.requests == []

    async def test_one_row_of_a_207_stands_for_all_that_are_missing(self) -> None:
        stub = Stub(found_and("1", **missing("2", "3")))
        result = await build_client(stub).deals.batch_read(["3", "2", "1"])
        assert list(result.records) == ["1"]
        assert result.missing == ["3", "2"]
        assert len(stub.requests) == 1

    async def test_more_than_a_hundred_are_split_and_read_at_once(self) -> None:
        waiting = 0
        all_there = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal waiting
            waiting += 1
            if waiting == 3:
                all_there.set()
            await asyncio.wait_for(all_there.wait(), 2)
            return found_and(*asked(request))

        stub = Stub(answer)
        ids = [str(each) for each in range(250)]
        result = await build_client(stub).deals.batch_read(ids)
        assert sorted(len(asked(request)) for request in stub.requests) == [50, 100, 100]
        assert list(result.records) == ids
        assert all(each == found.id for each, found in result.records.items())

    async def test_the_failure_of_one_part_is_raised_as_itself_and_ends_the_others(self) -> None:
        ended = 0

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal ended
            if "0" in asked(request):
                await asyncio.sleep(0)
                return refusal(400)
            try:
                await asyncio.Event().wait()
            finally:
                ended += 1
            raise AssertionError

        with pytest.raises(HubSpotValidationError):
            await build_client(Stub(answer)).deals.batch_read([str(each) for each in range(150)])
        assert ended == 1

    async def test_a_batch_read_is_repeated_although_it_is_a_post(self) -> None:
        stub = Stub(refusal(502), found_and("1"))
        await build_client(stub).deals.batch_read(["1"])
        assert len(stub.requests) == 2

    async def test_one_merged_record_is_found_under_the_id_asked_for(self) -> None:
        stub = Stub(found_and("1", "99"))
        result = await build_client(stub).deals.batch_read(["1", "2"])
        assert {each: found.id for each, found in result.records.items()} == {"1": "1", "2": "99"}
        assert len(stub.requests) == 1

    async def test_merged_records_that_name_their_old_ids_are_told_apart(self) -> None:
        rows = [record("98", hs_merged_object_ids="3;7"), record("99", hs_merged_object_ids="2")]
        stub = Stub(ok({"results": rows}))
        result = await build_client(stub).deals.batch_read(["2", "3"], properties=["hs_merged_object_ids"])
        assert {each: found.id for each, found in result.records.items()} == {"2": "99", "3": "98"}

    async def test_records_left_out_in_silence_are_asked_for_one_by_one(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return found_and("1")
            return ok(record("99")) if request.url.path.endswith("/2") else refusal(404)

        stub = Stub(answer)
        result = await build_client(stub).deals.batch_read(["1", "2", "3"])
        assert {each: found.id for each, found in result.records.items()} == {"1": "1", "2": "99"}
        assert result.missing == ["3"]

    async def test_by_a_unique_property_whatever_case_hubspot_gives_back(self) -> None:
        rows = [record("1", email="a@b.co"), record("2", email="c@d.co")]
        stub = Stub(ok({"results": rows, **missing("x@y.co")}, 207))
        result = await build_client(stub).contacts.batch_read(
            ["C@d.co", "x@y.co", "a@b.co"], properties=["firstname"], id_property="email"
        )
        assert {each: found.id for each, found in result.records.items()} == {"C@d.co": "2", "a@b.co": "1"}
        assert result.missing == ["x@y.co"]
        assert stub.body()["properties"] == ["firstname", "email"]
        assert stub.body()["idProperty"] == "email"


class TestWrite:
    """`batch_create`, `batch_update`, `batch_upsert`."""

    async def test_create_bytes(self) -> None:
        stub = Stub(ok({"results": [record("9") | {"objectWriteTraceId": "0"}]}, 201))
        inputs = [BatchInput({"dealname": "A"}, associations=[NewAssociation("contacts", "5")])]
        result = await build_client(stub).deals.batch_create(inputs)
        assert stub.sent == [("POST", "/crm/objects/2026-09/deals/batch/create")]
        link = {
            "to": {"id": "5"},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
        }
        assert stub.body() == {
            "inputs": [{"properties": {"dealname": "A"}, "objectWriteTraceId": "0", "associations": [link]}]
        }
        assert result.records[0].id == "9"

    async def test_update_and_upsert_bytes(self) -> None:
        stub = Stub(ok({"results": [record("1") | {"objectWriteTraceId": "0"}]}))
        await build_client(stub).deals.batch_update([BatchInput({"amount": "1"}, id="1")])
        assert stub.sent == [("POST", "/crm/objects/2026-09/deals/batch/update")]
        assert stub.body() == {
            "inputs": [{"id": "1", "properties": {"amount": "1"}, "objectWriteTraceId": "0"}]
        }
        stub = Stub(ok({"results": [record("1") | {"objectWriteTraceId": "0", "new": True}]}))
        result = await build_client(stub).contacts.batch_upsert(
            [BatchInput({}, id="a@b.co", id_property="email")]
        )
        assert stub.sent == [("POST", "/crm/objects/2026-09/contacts/batch/upsert")]
        assert stub.body()["inputs"][0]["idProperty"] == "email"
        assert result.records[0].new

    async def test_errors_are_told_by_input_and_hubspot_may_answer_in_any_order(self) -> None:
        error = {"category": "VALIDATION_ERROR", "message": "x", "context": {"objectWriteTraceId": ["1"]}}
        rows = [record("12") | {"objectWriteTraceId": "2"}, record("10") | {"objectWriteTraceId": "0"}]
        stub = Stub(ok({"results": rows, "numErrors": 1, "errors": [error]}, 207))
        result = await build_client(stub).deals.batch_create(
            [BatchInput({"dealname": each}) for each in "abc"]
        )
        assert {index: each.id for index, each in result.records.items()} == {0: "10", 2: "12"}
        assert result.errors == [BatchItemFailure(1, "VALIDATION_ERROR", False)]

    async def test_an_input_that_is_named_nowhere_has_failed_and_nobody_knows_how(self) -> None:
        stub = Stub(ok({"results": [record("1")]}))
        result = await build_client(stub).deals.batch_update([BatchInput({}, id="1"), BatchInput({}, id="2")])
        assert list(result.records) == [0]
        assert result.errors == [BatchItemFailure(1, "MISSING", True)]

    async def test_inputs_for_one_record_become_one_because_hubspot_refuses_a_batch_with_two(self) -> None:
        stub = Stub(ok({"results": [record("1") | {"objectWriteTraceId": "0"}]}))
        inputs = [
            BatchInput({"a": "1", "b": "1"}, id="A@b.co", id_property="email"),
            BatchInput({"b": "2"}, id="a@b.co", id_property="email"),
        ]
        result = await build_client(stub).contacts.batch_upsert(inputs)
        assert [each["properties"] for each in stub.body()["inputs"]] == [{"a": "1", "b": "2"}]
        assert sorted(result.records) == [0, 1]

    async def test_more_than_a_hundred_are_split_and_a_failing_part_spares_the_others(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            traces = [each["objectWriteTraceId"] for each in json.loads(request.content)["inputs"]]
            if "0" in traces:
                return refusal(502)
            return ok(
                {"results": [record(f"1{each}") | {"objectWriteTraceId": each} for each in traces]}, 201
            )

        stub = Stub(answer)
        inputs = [BatchInput({"dealname": "x"}) for _ in range(150)]
        result = await build_client(stub).deals.batch_create(inputs)
        assert len(stub.requests) == 2
        assert sorted(result.records) == list(range(100, 150))
        assert [each.index for each in result.errors] == list(range(100))
        assert all(each.sent for each in result.errors)

    async def test_a_create_is_sent_once_and_an_update_again(self) -> None:
        stub = Stub(refusal(502))
        with pytest.raises(HubSpotServerError) as raised:
            await build_client(stub).deals.batch_create([BatchInput({})])
        assert raised.value.sent
        assert len(stub.requests) == 1
        stub = Stub(refusal(502), ok({"results": [record("1")]}))
        await build_client(stub).deals.batch_update([BatchInput({}, id="1")])
        assert len(stub.requests) == 2

    async def test_no_inputs_are_nothing_sent(self) -> None:
        stub = Stub(refusal(500))
        assert (await build_client(stub).deals.batch_create([])).records == {}
        assert stub.requests == []


async def test_archive() -> None:
    stub = Stub(httpx.Response(204))
    await build_client(stub).deals.batch_archive(["1", "2", "1"])
    assert stub.sent == [("POST", "/crm/objects/2026-09/deals/batch/archive")]
    assert stub.body() == {"inputs": [{"id": "1"}, {"id": "2"}]}
    await build_client(stub).deals.batch_archive([str(each) for each in range(101)])
    assert len(stub.requests) == 3
