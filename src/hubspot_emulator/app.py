"""The ASGI application: count the request, authorise it, call the endpoint, commit, apply a fault, send.

It is written without a framework so that requests take little time and connections can be dropped.
"""

import asyncio
import gzip
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from random import Random
from typing import Any
from urllib.parse import parse_qs, unquote

from hubspot_emulator import routes
from hubspot_emulator.api.pipelines import HtmlNotFoundError
from hubspot_emulator.rules.scopes import check_scopes
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.faults import COMMITTING_KINDS, Fault, Faults, scripted_reply
from hubspot_emulator.state.journal import StateFileError
from hubspot_emulator.state.request_log import Exchange, RecordedRequest, RequestLog
from hubspot_emulator.wire.calls import Call, NotEmulatedError
from hubspot_emulator.wire.replies import Refusal, Reply, not_found

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

IMMEDIATE_FAULTS = "hubspot_emulator.immediate_faults"
"""ASGI extension by which a caller in the same process gets TimeoutError at once in place of a hang."""

_log = logging.getLogger(__name__)
_CONTROL = "/_emulator/"
_STATUSES_WITHOUT_BODY = (204, 304)
_MIN_COMPRESSED_BYTES = 1_000
# An encoded slash inside a segment stays %2F in the recorded path.
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)


class EmulatorApp:
    """HubSpot's URLs at the root, and the control API under /_emulator/."""

    def __init__(
        self,
        account: Account,
        faults: Faults,
        control: Callable[[str, str, bytes], Reply],
        request_log: RequestLog,
        *,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._account = account
        self._faults = faults
        self._control = control
        self._request_log = request_log
        self._sleep = sleep
        self._random = Random(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        if body is None:
            return
        path: str = (scope.get("raw_path") or scope["path"].encode()).decode("ascii", "replace")
        query = parse_qs(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True)
        if path.startswith(_CONTROL) or path == _CONTROL.rstrip("/"):
            control_path = unquote(path.removeprefix(_CONTROL.rstrip("/")))
            reply = self._commit(self._control(scope["method"], control_path, body))
            await _send(send, reply, reply.content())
            return
        await self._serve(scope, receive, send, path, query, body)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                # uvicorn ends the process by signal right after this, so no `finally` runs later.
                self._account.journal.checkpoint()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, path: str, query: dict[str, list[str]], body: bytes
    ) -> None:
        account, method = self._account, scope["method"]
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        decoded = unquote(_ENCODED_SLASH.sub("%252F", path))
        fault = self._faults.consume(method, decoded)
        request = RecordedRequest(
            method, decoded, query, body, headers, None, account.clock(), fault.kind if fault else None
        )
        self._request_log.entries.append(request)
        switches = account.switches
        if switches.latency_seconds or switches.latency_jitter_seconds:
            jitter = switches.latency_jitter_seconds * self._random.random()
            await self._sleep(switches.latency_seconds + jitter)
        if fault is None or fault.kind in COMMITTING_KINDS:
            server = _server(scope, headers)
            reply = self._commit(self._respond(server, method, path, query, headers, body))
        elif fault.kind in ("status", "html"):
            reply = scripted_reply(fault, decoded)
        else:
            reply = Reply(0)
        if fault is not None and not await self._apply_fault(fault, reply, scope, receive):
            return
        request.status = reply.status
        content = reply.content()
        if fault is not None and fault.kind == "truncated_json":
            await _send_truncated(send, reply, content)
            return
        if fault is not None and fault.kind == "cut_off":
            await _send_cut_off(receive, send, reply, content)
            return
        for listener in self._request_log.listeners:
            listener(Exchange(request, reply))
        if len(content) >= _MIN_COMPRESSED_BYTES and switches.compression and _accepts_gzip(headers):
            content = gzip.compress(content, compresslevel=1, mtime=0)
            reply.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        await _send(send, reply, content)

    def _respond(
        self,
        server: str,
        method: str,
        path: str,
        query: Mapping[str, list[str]],
        headers: dict[str, str],
        body: bytes,
    ) -> Reply:
        rate_headers: dict[str, str] = {}
        try:
            match = routes.match(method, path)
            authorization = headers.get("authorization")
            is_oauth = self._account.tokens.was_issued(authorization)
            rate_headers = self._account.limits.count_request(match.route.budget, is_oauth=is_oauth)
            if match.route.needs_token:
                self._account.tokens.authorise(authorization)
                pattern = "/".join(match.route.pattern)
                check_scopes(self._account, method, match.area, pattern, match.path_parameters)
            call = Call(
                method, path, match.version, match.area, match.path_parameters, query, headers, body, server
            )
            reply = match.route.endpoint(self._account, call)
        except Refusal as refusal:
            reply = refusal.reply()
        except NotEmulatedError as error:
            # The developer sees HubSpot's 404, so log the reason.
            _log.warning("not emulated: %s %s", method, error)
            reply = not_found(category=None).reply()
        except routes.MethodNotAllowedError:
            reply = Refusal(405, "HTTP 405 Method Not Allowed").reply()
        except HtmlNotFoundError:
            reply = Reply(
                404, raw=b"<html><body><h1>404</h1></body></html>", content_type="text/html; charset=utf-8"
            )
        reply.headers = {"X-HubSpot-Correlation-Id": str(uuid.uuid4())} | rate_headers | reply.headers
        return reply

    def _commit(self, reply: Reply) -> Reply:
        """Write the state file and return the reply, or a 500 if the file cannot be written."""
        try:
            self._account.journal.flush()
        except StateFileError as error:
            _log.error("%s", error)
            return Refusal(500, "internal error").reply()
        return reply

    async def _apply_fault(self, fault: Fault, reply: Reply, scope: Scope, receive: Receive) -> bool:
        """Drop, delay or corrupt a response. Return False if there is nothing left to send."""
        if fault.kind in ("drop_before", "drop_after"):
            await _drop_connection(receive)
            return False
        if fault.kind in ("hang_before", "hang_after", "slow"):
            if IMMEDIATE_FAULTS in scope.get("extensions", {}):
                raise TimeoutError(f"{fault.kind}: no response")
            await self._wait_unless_disconnected(receive, fault.seconds)
            if fault.kind != "slow":
                await _drop_connection(receive)
                return False
        if fault.kind in ("invalid_json", "truncated_json") and reply.status == 204:
            # A 204 has no body that could be corrupted.
            reply.status = 200
        if fault.kind == "invalid_json":
            reply.body, reply.raw = None, b"<!doctype html><p>this is not JSON</p>"
        return True

    async def _wait_unless_disconnected(self, receive: Receive, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        disconnect = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({sleeping, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            disconnect.cancel()


async def _drop_connection(receive: Receive) -> None:
    """Close the connection without a response. In process, raise ConnectionResetError."""
    _transport(receive).abort()
    await _wait_for_disconnect(receive)


def _transport(receive: Receive) -> asyncio.Transport:
    # ASGI cannot close a connection. In uvicorn, `receive` is a method of the request cycle, which has the
    # transport of the connection, with httptools and with h11.
    transport: asyncio.Transport | None = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the emulator dropped the connection")
    return transport


async def _wait_for_disconnect(receive: Receive) -> None:
    # uvicorn sends a 500 if the application returns before uvicorn notices the disconnect.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, or None if the caller disconnects before it is complete."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _server(scope: Scope, headers: Mapping[str, str]) -> str:
    host, port = scope.get("server") or ("localhost", None)
    return f"{scope.get('scheme', 'http')}://{headers.get('host') or (f'{host}:{port}' if port else host)}"


def _accepts_gzip(headers: Mapping[str, str]) -> bool:
    return any(
        coding.strip().partition(";")[0].strip() in ("gzip", "*") and "q=0" not in coding.replace("q=0.", "")
        for coding in headers.get("accept-encoding", "").lower().split(",")
    )


def _start_message(reply: Reply, length: int | None) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if length and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", reply.content_type.encode()))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _send(send: Send, reply: Reply, content: bytes) -> None:
    if reply.status in _STATUSES_WITHOUT_BODY:
        content = b""
    await send(_start_message(reply, None if reply.status in _STATUSES_WITHOUT_BODY else len(content)))
    await send({"type": "http.response.body", "body": content})


async def _send_cut_off(receive: Receive, send: Send, reply: Reply, content: bytes) -> None:
    """Close the connection in the middle of the body. In process, raise ConnectionResetError."""
    transport = _transport(receive)
    if reply.status == 204:
        transport.abort()
    else:
        await send(_start_message(reply, len(content)))
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        # `close` sends buffered data first, unlike `abort`.
        transport.close()
    await _wait_for_disconnect(receive)


async def _send_truncated(send: Send, reply: Reply, content: bytes) -> None:
    # Content-Length matches the truncated body, so that only the JSON parser can notice.
    cut = content[: max(1, len(content) * 2 // 3)] if content else b"{"
    await send(_start_message(reply, len(cut)))
    await send({"type": "http.response.body", "body": cut})
