"""The control API under /_emulator/: reset, seed, faults, requests, settings, records."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from hubspot_emulator.operations import Operations
from hubspot_emulator.state.faults import is_duration
from hubspot_emulator.state.request_log import RecordedRequest
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.calls import parse_json
from hubspot_emulator.wire.names import OBJECT_TYPES
from hubspot_emulator.wire.replies import Refusal, Reply
from hubspot_emulator.wire.timestamps import format_timestamp

PATHS = (
    "GET, PATCH settings",
    "GET, POST, DELETE faults",
    "GET, DELETE requests",
    "POST seed",
    "GET records/{type}",
    "GET, PATCH, DELETE records/{type}/{id}",
    "POST records/{type}/{id}/restore",
    "POST merge",
    "POST link",
    "POST unlink",
    "POST settle-search",
    "POST expire-access-tokens",
    "POST reset",
)


class Control:
    """Dispatcher of control requests. An invalid one gets a 400 with `message` and changes nothing."""

    def __init__(self, emulator: Operations) -> None:
        self._emulator = emulator

    def respond(self, method: str, path: str, body: bytes) -> Reply:
        try:
            return self._dispatch(method, path.strip("/").split("/"), body)
        except Refusal as refusal:
            return refusal.reply()
        except KeyError as error:
            return Reply(400, {"message": _describe_key_error(error)})
        except (ValueError, TypeError, AttributeError) as error:
            return Reply(400, {"message": f"{error}"})

    def _dispatch(self, method: str, segments: list[str], body: bytes) -> Reply:
        emulator = self._emulator
        match [method, *segments]:
            case ["GET", ""]:
                return Reply(200, {"paths": PATHS})
            case ["POST", "reset"]:
                emulator.reset()
            case ["POST", "seed"]:
                return Reply(201, emulator.seed(parse_json(body)))
            case ["GET" | "POST" | "DELETE", "faults"]:
                return self._faults(method, body)
            case ["GET", "requests"]:
                return Reply(200, {"results": [_render_request(request) for request in emulator.requests]})
            case ["DELETE", "requests"]:
                emulator.clear_requests()
            case ["GET" | "PATCH", "settings"]:
                return self._settings(method, body)
            case [_, "records", object_type, *rest] if object_type in OBJECT_TYPES:
                return self._records(method, object_type, rest, body)
            case ["POST", "merge"]:
                content = parse_json(body)
                return Reply(
                    200, {"id": emulator.merge(content["type"], content["primary"], content["merged"])}
                )
            case ["POST", "link" | "unlink" as verb]:
                content = parse_json(body)
                ends = _record_key(content["from"]), _record_key(content["to"])
                (emulator.link if verb == "link" else emulator.unlink)(*ends)
            case ["POST", "settle-search"]:
                emulator.settle_search()
            case ["POST", "expire-access-tokens"]:
                emulator.expire_access_tokens()
            case _:
                return _unknown_path(method, segments)
        return Reply(204)

    def _records(self, method: str, object_type: str, rest: list[str], body: bytes) -> Reply:
        emulator = self._emulator
        match [method, *rest]:
            case ["GET"]:
                return Reply(
                    200, {"results": [_render_record(record) for record in emulator.records(object_type)]}
                )
            case ["GET", record_id]:
                record = emulator.record(object_type, record_id)
                if record is None:
                    return Reply(404, {"message": f"there is no {object_type} record {record_id}"})
                return Reply(200, _render_record(record))
            case ["DELETE", record_id]:
                emulator.archive_as_other_actor(object_type, record_id)
            case ["PATCH", record_id]:
                emulator.edit_as_other_actor(object_type, record_id, parse_json(body))
            case ["POST", record_id, "restore"]:
                emulator.restore_as_other_actor(object_type, record_id)
            case _:
                return _unknown_path(method, ["records", object_type, *rest])
        return Reply(204)

    def _faults(self, method: str, body: bytes) -> Reply:
        emulator = self._emulator
        if method == "DELETE":
            emulator.reset_faults()
            return Reply(204)
        if method == "POST":
            content = parse_json(body)
            if "probability" in content:
                emulator.random_faults(
                    content["probability"], content.get("kinds", ()), content.get("seed", 0)
                )
            else:
                emulator.script(content if isinstance(content, list) else [content])
        pending = [asdict(fault) for fault in emulator.pending_faults()]
        used = [asdict(fault) for fault in emulator.used_faults()]
        return Reply(201 if method == "POST" else 200, {"pending": pending, "used": used})

    def _settings(self, method: str, body: bytes) -> Reply:
        emulator = self._emulator
        tokens = emulator.tokens
        if method == "PATCH":
            changes = parse_json(body)
            if not isinstance(changes, dict):
                raise ValueError("the body must be an object")
            limits = _pop_valid(changes, [limit.name for limit in fields(emulator.limits)], _is_limit)
            rotates = _pop_valid(changes, ["rotate_refresh_tokens"], lambda value: isinstance(value, bool))
            lifetime = _pop_valid(changes, ["token_lifetime_seconds"], is_duration)
            # `update` is the last step that can fail, so a failure changes nothing.
            emulator.switches.update(changes)
            for name, value in limits.items():
                setattr(emulator.limits, name, value)
            tokens.rotate_refresh_tokens = rotates.get("rotate_refresh_tokens", tokens.rotate_refresh_tokens)
            tokens.lifetime_seconds = lifetime.get("token_lifetime_seconds", tokens.lifetime_seconds)
        own = {
            "rotate_refresh_tokens": tokens.rotate_refresh_tokens,
            "token_lifetime_seconds": tokens.lifetime_seconds,
        }
        switches: dict[str, Any] = asdict(emulator.switches)
        return Reply(200, switches | asdict(emulator.limits) | own)


def _pop_valid(settings: dict[str, Any], names: list[str], is_valid: Callable[[Any], bool]) -> dict[str, Any]:
    """Remove these settings and return them. Raises ValueError for an invalid value."""
    popped = {name: settings.pop(name) for name in names if name in settings}
    for name, value in popped.items():
        if not is_valid(value):
            raise ValueError(f"{name} cannot be {value!r}")
    return popped


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _record_key(raw: Any) -> tuple[str, str]:
    if not (isinstance(raw, list) and len(raw) == 2 and raw[0] in OBJECT_TYPES):
        raise ValueError("`from` and `to` must be [object type, ID]")
    return raw[0], str(raw[1])


def _describe_key_error(error: KeyError) -> str:
    text = str(error.args[0])
    return text if " " in text else f"{text} is missing"


def _unknown_path(method: str, segments: list[str]) -> Reply:
    return Reply(404, {"message": f"the emulator has no {method} /_emulator/{'/'.join(segments)}"})


def _render_record(record: Record) -> dict[str, Any]:
    return {"id": record.id, "properties": record.properties, "archived": record.archived}


def _render_request(request: RecordedRequest) -> dict[str, Any]:
    body = request.body
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": body.decode(errors="replace") if isinstance(body, bytes) else body,
        "headers": request.headers,
        "status": request.status,
        "at": format_timestamp(request.at),
        "fault": request.fault,
    }
