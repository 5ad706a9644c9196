"""Pipelines over HTTP."""

import asyncio

import httpx
from tests.support.callers import Caller, assert_problem

from crm_api.hubspot_emulator import Emulator


class TestListPipelines:
    async def test_anonymous(self, client: httpx.AsyncClient, emulator: Emulator) -> None:
        assert_problem(await client.get("/api/pipelines"), 401, "invalid_token")
        assert emulator.requests == []

    async def test_stages_stand_in_display_order(self, customer: Caller) -> None:
        answer = await customer.get("/api/pipelines")
        assert answer.status_code == 200
        pipelines = answer.json()["data"]
        [deals], [tickets] = pipelines["deals"], pipelines["tickets"]
        assert [stage["id"] for stage in deals["stages"]] == [
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "decisionmakerboughtin",
            "contractsent",
            "closedwon",
            "closedlost",
        ]
        assert [stage["id"] for stage in deals["stages"] if stage["is_closed"]] == ["closedwon", "closedlost"]
        assert (tickets["id"], [stage["id"] for stage in tickets["stages"]]) == ("0", ["1", "2", "3", "4"])
        assert [stage["id"] for stage in tickets["stages"] if stage["is_closed"]] == ["4"]

    async def test_many_at_one_moment_are_two_calls_and_then_none(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        await asyncio.gather(*(customer.get("/api/pipelines") for _ in range(10)))
        assert sorted(request.path for request in emulator.requests) == [
            "/crm/pipelines/2026-09/deals",
            "/crm/pipelines/2026-09/tickets",
        ]

    async def test_hubspot_sending_nonsense_is_a_502(self, customer: Caller, emulator: Emulator) -> None:
        emulator.fail_next("GET", "/crm/pipelines/*", kind="invalid_json", times=50)
        assert_problem(await customer.get("/api/pipelines"), 502, "hubspot_error")
