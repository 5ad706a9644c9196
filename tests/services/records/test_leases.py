"""Record leases: one writer at a time for each record."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.support.callers import Caller
from tests.support.records import create_deal_as, seed_deals

from crm_api.errors import ApiError
from crm_api.models import RecordLease, now
from crm_api.services.records.leases import MAX_WAIT_SECONDS, MIN_RETRY_SECONDS, record_lease
from hubspot_emulator import Emulator


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_concurrent_writers_hold_the_record_lease_one_at_a_time(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    order: list[str] = []

    async def write(name: str) -> None:
        async with record_lease(session_factory, "deals", "1", lease_seconds=15):
            order.append(f"{name} in")
            await asyncio.sleep(0.01)
            order.append(f"{name} out")

    await asyncio.gather(write("a"), write("b"), write("c"))
    assert [event.split()[1] for event in order] == ["in", "out"] * 3
    async with session_factory() as database:
        assert (await database.execute(select(RecordLease))).first() is None


async def test_record_leases_of_different_records_do_not_conflict(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    async with (
        record_lease(session_factory, "deals", "1", lease_seconds=15),
        record_lease(session_factory, "deals", "2", lease_seconds=15),
        record_lease(session_factory, "tickets", "1", lease_seconds=15),
    ):
        pass


async def test_record_lease_not_released_in_time_raises_503(app: FastAPI) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with record_lease(app.state.session_factory, "deals", "1", lease_seconds=15):
        with pytest.raises(ApiError) as refused:
            async with record_lease(app.state.session_factory, "deals", "1", lease_seconds=15, sleep=sleep):
                raise AssertionError("two at once")
    assert refused.value.error_type.status == 503
    assert sum(waited) == pytest.approx(MAX_WAIT_SECONDS)
    assert waited[0] <= MIN_RETRY_SECONDS
    # A constant interval of 50 ms would need 100 attempts.
    assert len(waited) <= 16


async def test_expired_record_lease_is_taken_over(app: FastAPI) -> None:
    async with app.state.session_factory.begin() as database:
        database.add(
            RecordLease(
                object_type="deals",
                record_id="1",
                lease_id=uuid4(),
                lease_until=now() - timedelta(seconds=1),
            )
        )
    async with record_lease(app.state.session_factory, "deals", "1", lease_seconds=15, sleep=no_sleep):
        pass


async def test_former_holder_does_not_release_record_lease_taken_over(app: FastAPI) -> None:
    session_factory = app.state.session_factory
    async with record_lease(session_factory, "deals", "1", lease_seconds=-1):
        successor = record_lease(session_factory, "deals", "1", lease_seconds=15)
        await successor.__aenter__()
    async with session_factory() as database:
        assert (await database.execute(select(RecordLease))).first() is not None
    await successor.__aexit__(None, None, None)


async def test_update_succeeds_if_the_record_lease_cannot_be_released(
    customer: Caller, emulator: Emulator, app: FastAPI, fail_statements: Callable[[str], None]
) -> None:
    deal_id = await create_deal_as(customer)
    fail_statements("DELETE FROM record_leases")
    response = await customer.patch(f"/api/deals/{deal_id}", {"amount": 5})
    fail_statements("")
    assert (response.status_code, response.json()["data"]["amount"]) == (200, "5")
    async with app.state.session_factory() as database:
        [lease] = (await database.execute(select(RecordLease))).scalars()
    assert lease.lease_until > now()


async def test_all_ids_of_a_merged_record_share_one_record_lease(
    customer: Caller, staff: Caller, emulator: Emulator
) -> None:
    one, other = seed_deals(emulator, customer.contact_id, 2)
    survivor = emulator.merge("deals", one, other)
    etag = (await customer.get(f"/api/deals/{survivor}")).headers["etag"]
    # The latency lets every request read before the first one writes.
    emulator.switches.latency_seconds = 0.005
    responses = await asyncio.gather(
        *(
            staff.patch(f"/api/deals/{deal_id}", {"amount": amount}, headers={"If-Match": etag})
            for amount, deal_id in enumerate((one, other, survivor, one), start=1)
        )
    )
    assert sorted(response.status_code for response in responses) == [200, 412, 412, 412]
    assert {response.json()["data"]["id"] for response in responses if response.status_code == 200} == {
        survivor
    }
