"""Failures on demand, in process and over real sockets, and the proof that they happened."""

import contextlib
import json
import socket
import time

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, caller, served

from hubspot_emulator import Emulator
from hubspot_emulator.state.faults import COMMITTING_KINDS, KINDS

CONTACTS = "/crm/objects/2026-09/contacts"
A_CONTACT = {"properties": {"email": "a@example.com"}}
HEADERS = {"Authorization": "Bearer demo-access-token"}


class TestInProcess:
    @pytest.mark.parametrize(
        ("kind", "error", "committed"),
        [
            ("drop_before", httpx.ReadError, 0),
            ("drop_after", httpx.ReadError, 1),
            ("cut_off", httpx.ReadError, 1),
            ("hang_before", httpx.ReadTimeout, 0),
            ("hang_after", httpx.ReadTimeout, 1),
        ],
    )
    async def test_a_lost_answer(
        self,
        hubspot: httpx.AsyncClient,
        emulator: Emulator,
        kind: str,
        error: type[Exception],
        committed: int,
    ) -> None:
        emulator.fail_next("POST", CONTACTS, kind=kind)
        with pytest.raises(error):
            await hubspot.post(CONTACTS, json=A_CONTACT)
        assert len(emulator.records("contacts")) == committed
        assert [each.kind for each in emulator.used_faults()] == [kind]
        assert emulator.pending_faults() == []
        assert emulator.requests[0].fault == kind

    @pytest.mark.parametrize(
        ("path", "message", "envelope"),
        [
            (CONTACTS, "You have reached your ten_secondly_rolling limit.", "policyName"),
            (f"{CONTACTS}/search", "You have reached your secondly limit.", "category"),
            ("/oauth/2026-09/token", "You have reached your rate limit.", "status"),
        ],
    )
    async def test_a_scripted_429_says_what_hubspot_says_at_this_path(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, path: str, message: str, envelope: str
    ) -> None:
        emulator.fail_next("POST", "*", status=429)
        answer = (await hubspot.post(path, json={})).json()
        assert answer["message"] == message
        assert envelope in answer

    @pytest.mark.parametrize("kind", ["truncated_json", "invalid_json"])
    async def test_an_answer_that_has_no_body_is_given_one_to_spoil(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, kind: str
    ) -> None:
        emulator.fail_next("DELETE", "*", kind=kind)
        answer = await hubspot.delete(f"{CONTACTS}/1")
        assert answer.status_code == 200
        assert answer.content

    @pytest.mark.parametrize("kind", ["truncated_json", "invalid_json"])
    async def test_a_spoiled_answer_is_committed(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, kind: str
    ) -> None:
        emulator.fail_next("POST", CONTACTS, kind=kind)
        answer = await hubspot.post(CONTACTS, json=A_CONTACT)
        assert answer.status_code == 201
        with pytest.raises(json.JSONDecodeError):
            answer.json()
        assert len(emulator.records("contacts")) == 1

    async def test_faults_are_consumed_in_order(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        emulator.fail_next("POST", "/crm/objects/*/contacts", status=500, times=2)
        emulator.fail_next("*", "/crm/*", status=429, headers={"Retry-After": "7"})
        emulator.fail_next("POST", "/crm/*", kind="html")
        answers = [await hubspot.post(CONTACTS, json=A_CONTACT) for _ in range(5)]
        assert [each.status_code for each in answers] == [500, 500, 429, 502, 201]
        assert answers[2].headers["retry-after"] == "7"
        assert answers[2].json()["policyName"] == "TEN_SECONDLY_ROLLING"
        assert answers[3].text.startswith("<html>")
        assert len(emulator.used_faults()) == 4

    async def test_a_fault_waits_for_a_request_that_fits(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.fail_next("POST", "/crm/objects/*/deals", status=503)
        assert (await hubspot.post(CONTACTS, json=A_CONTACT)).status_code == 201
        assert len(emulator.pending_faults()) == 1
        emulator.reset_faults()
        assert (emulator.pending_faults(), emulator.used_faults()) == ([], [])

    async def test_random_faults_are_the_same_for_one_seed(self, build: Build) -> None:
        async def run() -> list[int]:
            emulator = build()
            emulator.random_faults(0.5, ("503", "html"), 7)
            async with caller(emulator) as hubspot:
                found = [(await hubspot.get(CONTACTS)).status_code for _ in range(40)]
            assert len(emulator.used_faults()) == sum(each != 200 for each in found)
            return found

        first = await run()
        assert set(first) == {200, 502, 503}
        assert await run() == first

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"kind": "status"},
            {"kind": "fire"},
            {"status": 500, "times": 0},
            {"status": 500, "times": "2"},
            {"status": 99},
            {"status": True},
            {"kind": "slow", "seconds": -1},
            {"kind": "slow", "seconds": float("inf")},
            {"status": 500, "headers": {"Retry-After": 7}},
        ],
    )
    def test_a_fault_that_makes_no_sense_is_refused(
        self, emulator: Emulator, wrong: dict[str, object]
    ) -> None:
        with pytest.raises(ValueError):
            emulator.fail_next("GET", "/", **wrong)  # type: ignore[arg-type]
        assert emulator.pending_faults() == []

    @pytest.mark.parametrize(
        ("probability", "kinds"), [(0.5, ()), (2, ("503",)), (-1, ("503",)), (0.5, ("fire",)), (0.5, ("99",))]
    )
    def test_random_faults_that_make_no_sense_are_refused(
        self, emulator: Emulator, probability: float, kinds: tuple[str, ...]
    ) -> None:
        with pytest.raises(ValueError):
            emulator.random_faults(probability, kinds, 1)

    async def test_latency_is_slept_with_jitter(self, build: Build) -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        emulator = build(sleep=sleep, latency_seconds=1.0, latency_jitter_seconds=0.5)
        async with caller(emulator) as hubspot:
            for _ in range(20):
                await hubspot.get(CONTACTS)
        assert len(set(slept)) > 10
        assert all(1.0 <= each <= 1.5 for each in slept)


@pytest.mark.parametrize("http", ["httptools", "h11"])
class TestOverASocket:
    def test_a_drop_closes_the_connection_without_an_answer(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            host, port = address.removeprefix("http://").split(":")
            for kind, committed in (("drop_before", 0), ("drop_after", 1)):
                emulator.fail_next("POST", CONTACTS, kind=kind)
                body = json.dumps(A_CONTACT).encode()
                head = (
                    f"POST {CONTACTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                with socket.create_connection((host, int(port)), timeout=5) as connection:
                    connection.sendall(head.encode() + body)
                    try:
                        received = connection.recv(100)
                    except ConnectionResetError:
                        received = b""
                assert received == b""
                assert len(emulator.records("contacts")) == committed
            # The server goes on.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 200

    def test_each_kind_happens_once_and_is_accounted_for(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            for number, kind in enumerate(KINDS):
                options = {"status": 503} if kind == "status" else {"seconds": 0.01}
                emulator.fail_next("POST", CONTACTS, kind=kind, **options)
                body = {"properties": {"email": f"a{number}@example.com"}}
                answer: httpx.Response | None = None
                with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    answer = httpx.post(address + CONTACTS, json=body, headers=HEADERS)
                written = [each.properties["email"] for each in emulator.records("contacts")]
                assert (f"a{number}@example.com" in written) == (kind in COMMITTING_KINDS), kind
                assert (answer is None) == kind.startswith(("drop", "hang", "cut")), kind
                assert emulator.requests[-1].fault == kind
            # The server goes on.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 200
        assert [each.kind for each in emulator.used_faults()] == list(KINDS)
        assert emulator.pending_faults() == []

    def test_half_a_request_is_none(self, build: Build, http: str) -> None:
        emulator = build()
        emulator.fail_next("*", "*", status=503)
        with served(emulator, http=http) as address:
            host, port = address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                head = f"POST {CONTACTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
                connection.sendall(head.encode() + b'{"properties": {}}')
            # The whole one that comes afterwards takes the fault.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 503
        assert [each.method for each in emulator.requests] == ["GET"]

    def test_an_answer_without_a_body_has_none(self, build: Build, http: str) -> None:
        emulator = build()
        with (
            served(emulator, http=http) as address,
            httpx.Client(base_url=address, headers=HEADERS) as client,
        ):
            emulator.fail_next("GET", CONTACTS, status=204, times=2)
            # On one connection: bytes too many would be taken for the next answer.
            assert [client.get(CONTACTS).status_code for _ in range(3)] == [204, 204, 200]

    def test_an_answer_is_cut_off_in_the_middle(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            for path in (CONTACTS, f"{CONTACTS}/1"):
                emulator.fail_next("*", path, kind="cut_off")
            with httpx.stream("GET", address + CONTACTS, headers=HEADERS) as answer:
                assert answer.status_code == 200
                with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
                    answer.read()
            # Nothing can be cut from an answer without a body.
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                httpx.delete(f"{address}{CONTACTS}/1", headers=HEADERS)

    def test_a_hang_gives_no_answer_until_the_caller_leaves(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            emulator.fail_next("POST", CONTACTS, kind="hang_after", seconds=60)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(address + CONTACTS, json=A_CONTACT, headers=HEADERS, timeout=0.2)
            assert len(emulator.records("contacts")) == 1
            stopping = time.monotonic()
        # A hang does not keep the server from stopping.
        assert time.monotonic() - stopping < 5
