"""Scripted and random faults, in process and over sockets, and the record of used faults."""

import contextlib
import json
import socket
import time

import httpx
import pytest
from tests.hubspot_emulator.conftest import Build, hubspot_client, served

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
    async def test_lost_response_faults_commit_unless_named_before(
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
        assert [fault.kind for fault in emulator.used_faults()] == [kind]
        assert emulator.pending_faults() == []
        assert emulator.requests[0].fault == kind

    @pytest.mark.parametrize(
        ("path", "message", "envelope"),
        [
            (CONTACTS, "You have reached your ten_secondly_rolling limit.", "policyName"),
            (f"{CONTACTS}/search", "You have reached your secondly limit.", "errorType"),
            ("/oauth/2026-09/token", "You have reached your rate limit.", "status"),
        ],
    )
    async def test_429_fault_has_the_error_format_of_the_path(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, path: str, message: str, envelope: str
    ) -> None:
        emulator.fail_next("POST", "*", status=429)
        response = (await hubspot.post(path, json={})).json()
        assert response["message"] == message
        assert envelope in response

    @pytest.mark.parametrize("kind", ["truncated_json", "invalid_json"])
    async def test_invalid_json_fault_turns_204_into_200_with_body(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, kind: str
    ) -> None:
        emulator.fail_next("DELETE", "*", kind=kind)
        response = await hubspot.delete(f"{CONTACTS}/1")
        assert response.status_code == 200
        assert response.content

    @pytest.mark.parametrize("kind", ["truncated_json", "invalid_json"])
    async def test_invalid_json_fault_commits_the_write(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, kind: str
    ) -> None:
        emulator.fail_next("POST", CONTACTS, kind=kind)
        response = await hubspot.post(CONTACTS, json=A_CONTACT)
        assert response.status_code == 201
        with pytest.raises(json.JSONDecodeError):
            response.json()
        assert len(emulator.records("contacts")) == 1

    async def test_faults_are_consumed_in_order(self, hubspot: httpx.AsyncClient, emulator: Emulator) -> None:
        emulator.fail_next("POST", "/crm/objects/*/contacts", status=500, times=2)
        emulator.fail_next("*", "/crm/*", status=429, headers={"Retry-After": "7"})
        emulator.fail_next("POST", "/crm/*", kind="html")
        responses = [await hubspot.post(CONTACTS, json=A_CONTACT) for _ in range(5)]
        assert [response.status_code for response in responses] == [500, 500, 429, 502, 201]
        assert responses[2].headers["retry-after"] == "7"
        assert responses[2].json()["policyName"] == "TEN_SECONDLY_ROLLING"
        assert responses[3].text.startswith("<html>")
        assert len(emulator.used_faults()) == 4

    async def test_fault_stays_pending_until_a_request_matches(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.fail_next("POST", "/crm/objects/*/deals", status=503)
        assert (await hubspot.post(CONTACTS, json=A_CONTACT)).status_code == 201
        assert len(emulator.pending_faults()) == 1
        emulator.reset_faults()
        assert (emulator.pending_faults(), emulator.used_faults()) == ([], [])

    async def test_random_faults_repeat_with_the_same_seed(self, build: Build) -> None:
        async def run() -> list[int]:
            emulator = build()
            emulator.random_faults(0.5, ("503", "html"), 7)
            async with hubspot_client(emulator) as hubspot:
                found = [(await hubspot.get(CONTACTS)).status_code for _ in range(40)]
            assert len(emulator.used_faults()) == sum(status != 200 for status in found)
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
    def test_fault_with_invalid_arguments_raises_value_error(
        self, emulator: Emulator, wrong: dict[str, object]
    ) -> None:
        with pytest.raises(ValueError):
            emulator.fail_next("GET", "/", **wrong)  # type: ignore[arg-type]
        assert emulator.pending_faults() == []

    @pytest.mark.parametrize(
        ("probability", "kinds"), [(0.5, ()), (2, ("503",)), (-1, ("503",)), (0.5, ("fire",)), (0.5, ("99",))]
    )
    def test_random_faults_with_invalid_arguments_raise_value_error(
        self, emulator: Emulator, probability: float, kinds: tuple[str, ...]
    ) -> None:
        with pytest.raises(ValueError):
            emulator.random_faults(probability, kinds, 1)

    async def test_emulator_latency_varies_within_the_jitter(self, build: Build) -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        emulator = build(sleep=sleep, latency_seconds=1.0, latency_jitter_seconds=0.5)
        async with hubspot_client(emulator) as hubspot:
            for _ in range(20):
                await hubspot.get(CONTACTS)
        assert len(set(slept)) > 10
        assert all(1.0 <= seconds <= 1.5 for seconds in slept)


@pytest.mark.parametrize("http", ["httptools", "h11"])
class TestOverSocket:
    def test_drop_fault_closes_connection_without_response(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            host, port = address.removeprefix("http://").split(":")
            for kind, committed in (("drop_before", 0), ("drop_after", 1)):
                emulator.fail_next("POST", CONTACTS, kind=kind)
                body = json.dumps(A_CONTACT).encode()
                head = (
                    f"POST {CONTACTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                with socket.create_connection((host, int(port)), timeout=5) as connection:
                    connection.sendall(head.encode() + body)
                    try:
                        received = connection.recv(100)
                    except ConnectionResetError:
                        received = b""
                assert received == b""
                assert len(emulator.records("contacts")) == committed
            # The server accepts further requests.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 200

    def test_each_fault_kind_happens_once_and_is_recorded(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            for number, kind in enumerate(KINDS):
                options = {"status": 503} if kind == "status" else {"seconds": 0.01}
                emulator.fail_next("POST", CONTACTS, kind=kind, **options)
                body = {"properties": {"email": f"a{number}@example.com"}}
                response: httpx.Response | None = None
                with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    response = httpx.post(address + CONTACTS, json=body, headers=HEADERS)
                written = [record.properties["email"] for record in emulator.records("contacts")]
                assert (f"a{number}@example.com" in written) == (kind in COMMITTING_KINDS), kind
                assert (response is None) == kind.startswith(("drop", "hang", "cut")), kind
                assert emulator.requests[-1].fault == kind
            # The server accepts further requests.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 200
        assert [fault.kind for fault in emulator.used_faults()] == list(KINDS)
        assert emulator.pending_faults() == []

    def test_request_with_incomplete_body_consumes_no_fault(self, build: Build, http: str) -> None:
        emulator = build()
        emulator.fail_next("*", "*", status=503)
        with served(emulator, http=http) as address:
            host, port = address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                head = f"POST {CONTACTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
                connection.sendall(head.encode() + b'{"properties": {}}')
            # The next complete request consumes the fault.
            assert httpx.get(address + CONTACTS, headers=HEADERS).status_code == 503
        assert [request.method for request in emulator.requests] == ["GET"]

    def test_204_status_fault_sends_no_body(self, build: Build, http: str) -> None:
        emulator = build()
        with (
            served(emulator, http=http) as address,
            httpx.Client(base_url=address, headers=HEADERS) as client,
        ):
            emulator.fail_next("GET", CONTACTS, status=204, times=2)
            # All requests use one connection, on which a body would corrupt the next response.
            assert [client.get(CONTACTS).status_code for _ in range(3)] == [204, 204, 200]

    def test_cut_off_fault_closes_connection_within_the_body(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            for path in (CONTACTS, f"{CONTACTS}/1"):
                emulator.fail_next("*", path, kind="cut_off")
            with httpx.stream("GET", address + CONTACTS, headers=HEADERS) as response:
                assert response.status_code == 200
                with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
                    response.read()
            # A response without a body is lost completely.
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                httpx.delete(f"{address}{CONTACTS}/1", headers=HEADERS)

    def test_hang_fault_of_disconnected_caller_does_not_delay_stop(self, build: Build, http: str) -> None:
        emulator = build()
        with served(emulator, http=http) as address:
            emulator.fail_next("POST", CONTACTS, kind="hang_after", seconds=60)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(address + CONTACTS, json=A_CONTACT, headers=HEADERS, timeout=0.2)
            assert len(emulator.records("contacts")) == 1
            stopping = time.monotonic()
        # The pending hang must not delay the end of the server.
        assert time.monotonic() - stopping < 5
