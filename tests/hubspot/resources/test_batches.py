"""Batch reads of records: splitting, order, merged and missing records."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, record, refusal

from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotValidationError

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
    body = {"status": "COMPLETE", "results": [record(item) for item in ids], **members}
    return ok(body, 207 if members else 200)


def requested(request: httpx.Request) -> list[str]:
    return [item["id"] for item in json.loads(request.content)["inputs"]]


class TestRead:
    """`ObjectsApi.batch_read`: requests, results and errors."""

    async def test_batch_read_sends_unique_ids_and_properties(self) -> None:
        stub = Stub(found_and("2", "1"))
        result = await build_client(stub).deals.batch_read(["1", "2", "1"], properties=["a", "b", "a"])
        assert stub.sent == [READ]
        assert stub.body() == {"inputs": [{"id": "1"}, {"id": "2"}], "properties": ["a", "b"]}
        assert list(result.records) == ["1", "2"]

    async def test_batch_read_without_ids_sends_nothing(self) -> None:
        stub = Stub(refusal(500))
        result = await build_client(stub).deals.batch_read([])
        assert result.records == {}
        assert stub.requests == []

    async def test_missing_ids_in_an_error_row_are_not_read_again(self) -> None:
        stub = Stub(found_and("1", **missing("2", "3")))
        result = await build_client(stub).deals.batch_read(["3", "2", "1"])
        assert list(result.records) == ["1"]
        assert len(stub.requests) == 1

    async def test_batch_read_of_over_100_ids_makes_parallel_calls(self) -> None:
        waiting = 0
        all_waiting = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal waiting
            waiting += 1
            if waiting == 3:
                all_waiting.set()
            await asyncio.wait_for(all_waiting.wait(), 2)
            return found_and(*requested(request))

        stub = Stub(answer)
        ids = [str(item) for item in range(250)]
        result = await build_client(stub).deals.batch_read(ids)
        assert sorted(len(requested(request)) for request in stub.requests) == [50, 100, 100]
        assert list(result.records) == ids
        assert all(item == found.id for item, found in result.records.items())

    async def test_failed_batch_call_raises_and_cancels_the_parallel_call(self) -> None:
        ended = 0

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal ended
            if "0" in requested(request):
                await asyncio.sleep(0)
                return refusal(400)
            try:
                await asyncio.Event().wait()
            finally:
                ended += 1
            raise AssertionError

        with pytest.raises(HubSpotValidationError):
            await build_client(Stub(answer)).deals.batch_read([str(item) for item in range(150)])
        assert ended == 1

    async def test_batch_read_is_retried_after_a_server_error(self) -> None:
        stub = Stub(refusal(502), found_and("1"))
        await build_client(stub).deals.batch_read(["1"])
        assert len(stub.requests) == 2

    async def test_merged_record_is_returned_under_the_requested_id(self) -> None:
        stub = Stub(found_and("1", "99"), ok(record("99", hs_merged_object_ids="2")))
        result = await build_client(stub).deals.batch_read(["1", "2"])
        assert {item: found.id for item, found in result.records.items()} == {"1": "1", "2": "99"}
        assert len(stub.requests) == 2

    @pytest.mark.parametrize("single", [refusal(404), ok(record("99")), ok(record("98"))])
    async def test_record_that_was_not_requested_is_ignored(self, single: httpx.Response) -> None:
        stub = Stub(found_and("1", "99"), single)
        result = await build_client(stub).deals.batch_read(["1", "2"])
        assert {item: found.id for item, found in result.records.items()} == {"1": "1"}

    async def test_merged_records_are_matched_by_hs_merged_object_ids(self) -> None:
        rows = [record("98", hs_merged_object_ids="3;7"), record("99", hs_merged_object_ids="2")]
        stub = Stub(ok({"results": rows}))
        result = await build_client(stub).deals.batch_read(["2", "3"], properties=["hs_merged_object_ids"])
        assert {item: found.id for item, found in result.records.items()} == {"2": "99", "3": "98"}

    async def test_records_missing_in_batch_response_are_read_one_by_one(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return found_and("1")
            merged = record("99", hs_merged_object_ids="2")
            return ok(merged) if request.url.path.endswith("/2") else refusal(404)

        stub = Stub(answer)
        result = await build_client(stub).deals.batch_read(["1", "2", "3"])
        assert {item: found.id for item, found in result.records.items()} == {"1": "1", "2": "99"}

    async def test_partial_batch_read_reports_ids_of_failed_calls(self) -> None:
        stub = Stub(
            lambda request: refusal(400) if "0" in requested(request) else found_and(*requested(request))
        )
        ids = [str(number) for number in range(150)]
        result = await build_client(stub).deals.batch_read(ids, allow_partial=True)
        assert list(result.records) == ids[100:]
        assert result.failed == set(ids[:100])

    async def test_partial_batch_read_raises_credentials_error(self) -> None:
        with pytest.raises(HubSpotCredentialsError):
            await build_client(Stub(refusal(403))).deals.batch_read(["1"], allow_partial=True)
