"""Bounded decompression of response bodies: a small compressed body can expand to gigabytes."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

import httpx

# A batch of 100 records, each with one text property of HubSpot's maximum length (65,536 characters), has 20 MB.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
ACCEPT_ENCODING: Final = "gzip"
_GZIP_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS


class ResponseTooLargeError(httpx.StreamError):
    """Response body of more than `MAX_BODY_BYTES`, decompressed."""

    def __init__(self) -> None:
        super().__init__("response too large")


def limit_body(response: httpx.Response) -> None:
    """Decompress and limit the response's body while it is read.

    httpx decompresses each received chunk completely, whatever its size becomes.
    """
    if response.is_closed:  # the body is already in memory, as in responses of test transports
        return
    encoding = response.headers.pop("content-encoding", "identity").strip().lower()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _LimitedStream(response.stream, encoding)


class _LimitedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        pieces = self._stream if self._encoding == "identity" else self._decompressed()
        async for piece in pieces:
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise ResponseTooLargeError
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _decompressed(self) -> AsyncIterator[bytes]:
        if self._encoding not in ("gzip", "x-gzip"):
            raise httpx.DecodingError("the response has an encoding that the request did not accept")
        decoder = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            async for chunk in self._stream:
                yield decoder.decompress(chunk, PIECE_BYTES)
                while decoder.unconsumed_tail:
                    # Other requests continue between the pieces.
                    await asyncio.sleep(0)
                    yield decoder.decompress(decoder.unconsumed_tail, PIECE_BYTES)
            yield decoder.flush()
        except zlib.error:
            raise httpx.DecodingError("the response cannot be decompressed") from None
