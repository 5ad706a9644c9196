"""Fair order of waiting callers: at the semaphore, and at the threads that hash passwords."""

import asyncio

import httpx
from fastapi import FastAPI
from tests.support.builders import PASSWORD
from tests.support.callers import Caller

from crm_api.security.turns import FairSemaphore


async def test_fair_semaphore_serves_waiting_callers_in_turns() -> None:
    semaphore = FairSemaphore(1)
    served: list[str] = []

    async def use(caller: str) -> None:
        await semaphore.acquire(caller)
        served.append(caller)
        await asyncio.sleep(0)
        semaphore.release()

    await asyncio.gather(*(use(caller) for caller in ["many"] * 5 + ["one", "two"]))
    assert served == ["many", "many", "one", "two", "many", "many", "many"]


async def test_turn_of_cancelled_caller_passes_to_the_next_caller() -> None:
    semaphore = FairSemaphore(1)
    await semaphore.acquire("holder")
    waiting, granted, last = [asyncio.create_task(semaphore.acquire(name)) for name in ("a", "b", "b")]
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    semaphore.release()
    granted.cancel()  # its turn is granted, but it has not continued yet
    async with asyncio.timeout(5):
        await last
    semaphore.release()
    async with asyncio.timeout(5):
        await semaphore.acquire("next")
    assert waiting.cancelled()
    assert granted.cancelled()


async def wait_for_waiting(semaphore: FairSemaphore, count: int) -> None:
    async with asyncio.timeout(20):
        while sum(map(len, semaphore._waiting.values())) < count:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


async def test_logins_of_one_address_delay_another_by_one_login(customer: Caller, app: FastAPI) -> None:
    pool = app.state.passwords
    pool._free_workers = FairSemaphore(0)
    verified: list[bytes] = []

    class Recorder:
        def verify_and_update(self, password: bytes, _hash: str) -> tuple[bool, None]:
            verified.append(password)
            return password == PASSWORD.encode(), None

    pool._context = Recorder()
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as other:
        body = {"email": customer.email, "password": "wrong"}
        many = [asyncio.create_task(other.post("/api/login", json=body)) for _ in range(5)]
        await wait_for_waiting(pool._free_workers, 5)
        one = asyncio.create_task(
            customer.client.post("/api/login", json={"email": customer.email, "password": PASSWORD})
        )
        await wait_for_waiting(pool._free_workers, 6)
        pool._free_workers.release()
        assert (await one).status_code == 200
        await asyncio.gather(*many)
    assert verified[:2] == [b"wrong", PASSWORD.encode()]


async def test_requests_of_one_address_delay_another_by_one_request(
    customer: Caller, other_customer: Caller, app: FastAPI
) -> None:
    turns = app.state.authentications = FairSemaphore(0)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 1))
    finished: list[str] = []

    async def get_profile(client: httpx.AsyncClient, caller: Caller) -> None:
        response = await client.get("/api/me", headers=caller.headers)
        finished.append(response.json()["data"]["email"])

    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as busy:
        many = [asyncio.create_task(get_profile(busy, customer)) for _ in range(5)]
        await wait_for_waiting(turns, 5)
        one = asyncio.create_task(get_profile(other_customer.client, other_customer))
        await wait_for_waiting(turns, 6)
        turns.release()
        await asyncio.gather(*many, one)
    assert finished == [customer.email, other_customer.email, *[customer.email] * 4]
