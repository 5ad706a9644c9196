"""Limit of response bodies, with and without compression."""

import contextlib
import gc
import gzip
import tracemalloc
import weakref
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.hubspot.stubs import build_client, record, refusal

from crm_api.hubspot import RefreshTokenAuth, body_limit, token_url
from crm_api.hubspot.errors import HubSpotError, HubSpotUnreadableError

MEBIBYTE = 1024 * 1024
RECORD = httpx.Response(200, json=record()).content


class Chunks(httpx.AsyncByteStream):
    """Body that arrives in chunks of the size that httpcore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 65_536):
            yield self._body[start : start + 65_536]


class StreamTransport(httpx.AsyncBaseTransport):
    """Responds to every request with one body."""

    def __init__(self, body: bytes, *, encoding: str | None, status: int = 200) -> None:
        self._body = body
        self._status = status
        self._headers = {"content-encoding": encoding} if encoding else {}
        self.requests: list[httpx.Request] = []
        self.responses: list[weakref.ref[httpx.Response]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = httpx.Response(self._status, headers=self._headers, stream=Chunks(self._body))
        self.responses.append(weakref.ref(response))
        return response


@pytest.mark.parametrize(
    ("encoding", "body"), [(None, RECORD), ("gzip", gzip.compress(RECORD)), ("X-GZip", gzip.compress(RECORD))]
)
async def test_body_is_read_with_and_without_gzip(encoding: str | None, body: bytes) -> None:
    transport = StreamTransport(body, encoding=encoding)
    assert (await build_client(transport).deals.get("1")).id == "1"
    assert transport.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("status", [200, 400, 401])
async def test_gzip_body_of_256_mib_is_refused_with_little_memory(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each received chunk of 64 KiB would expand to 64 MiB."""
    monkeypatch.setattr(body_limit, "MAX_BODY_BYTES", 4 * MEBIBYTE)
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(MEBIBYTE)
    body = b"".join([*(compressor.compress(zeros) for _ in range(256)), compressor.flush()])
    transport = StreamTransport(body, encoding="gzip", status=status)
    tracemalloc.start()
    try:
        with pytest.raises(HubSpotUnreadableError, match="ResponseTooLargeError"):
            await build_client(transport).deals.get("1")
        assert tracemalloc.get_traced_memory()[1] < 12 * MEBIBYTE
    finally:
        tracemalloc.stop()


async def test_plain_body_over_the_limit_raises_unreadable_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MAX_BODY_BYTES", MEBIBYTE)
    with pytest.raises(HubSpotUnreadableError, match="ResponseTooLargeError"):
        await build_client(StreamTransport(bytes(MEBIBYTE + 1), encoding=None)).deals.get("1")


async def test_token_response_over_the_limit_raises_unreadable_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MAX_BODY_BYTES", MEBIBYTE)
    auth = RefreshTokenAuth("id", "secret", "refresh", token_url("https://hubspot.test", "2026-09"))
    token = b'{"access_token": "t", "expires_in": 1800}' + b" " * 8 * MEBIBYTE
    transport = StreamTransport(gzip.compress(token), encoding="gzip")
    with pytest.raises(HubSpotUnreadableError):
        await build_client(transport, auth=auth).deals.get("1")
    assert all(request.url.path.endswith("/token") for request in transport.requests)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", RECORD),
        ("gzip, gzip", gzip.compress(gzip.compress(RECORD))),
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(RECORD)[:-30]),
    ],
)
async def test_unsupported_or_broken_encoding_raises_unreadable_error(encoding: str, body: bytes) -> None:
    with pytest.raises(HubSpotUnreadableError):
        await build_client(StreamTransport(body, encoding=encoding)).deals.get("1")


async def test_403_with_a_gzip_body_raises_error_with_the_status() -> None:
    transport = StreamTransport(gzip.compress(refusal(403).content), encoding="gzip", status=403)
    with pytest.raises(HubSpotError) as failure:
        await build_client(transport).deals.get("1")
    assert failure.value.status_code == 403


@pytest.mark.parametrize("status", [200, 400])
async def test_body_is_freed_at_once_after_the_call(status: int) -> None:
    transport = StreamTransport(RECORD, encoding=None, status=status)
    # Without the cyclic garbage collector, only an object without reference cycles is freed.
    gc.disable()
    try:
        with contextlib.suppress(HubSpotError):
            await build_client(transport).deals.get("1")
        assert [response() for response in transport.responses] == [None]
    finally:
        gc.enable()
