"""The emulator's own URLs under /_emulator/: reset, seed, faults, requests, settings, records."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from crm_api.hubspot_emulator.calls import parsed
from crm_api.hubspot_emulator.names import OBJECT_TYPES
from crm_api.hubspot_emulator.replies import Refusal, Reply
from crm_api.hubspot_emulator.values import iso

if TYPE_CHECKING:
    from crm_api.hubspot_emulator.emulator import Emulator


class Control:
    """Answers with plain JSON; a wrong request is a 400 with `message`."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> Reply:
        try:
            return self._dispatch(method, path.strip("/").split("/"), body)
        except Refusal as refusal:
            return refusal.reply()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return Reply(400, {"message": f"{error}"})

    def _dispatch(self, method: str, segments: list[str], body: bytes) -> Reply:
        emulator = self._emulator
        match [method, *segments]:
            case ["POST", "reset"]:
                emulator.reset()
                return Reply(204)
            case ["POST", "seed"]:
                return Reply(201, emulator.seed(parsed(body)))
            case ["GET" | "POST" | "DELETE", "faults"]:
                return self._faults(method, body)
            case ["GET", "requests"]:
                return Reply(200, {"results": [_request(each) for each in emulator.requests]})
            case ["DELETE", "requests"]:
                emulator.clear_requests()
                return Reply(204)
            case ["GET" | "PATCH", "settings"]:
                return self._settings(method, body)
            case ["GET", "records", object_type] if object_type in OBJECT_TYPES:
                return Reply(
                    200,
                    {
                        "results": [
                            {"id": e.id, "properties": e.properties} for e in emulator.records(object_type)
                        ]
                    },
                )
            case ["POST", "merge"]:
                asked = parsed(body)
                return Reply(200, {"id": emulator.merge(asked["type"], asked["primary"], asked["merged"])})
            case ["DELETE", "records", object_type, record_id] if object_type in OBJECT_TYPES:
                emulator.archive_as_other_actor(object_type, record_id)
                return Reply(204)
            case ["PATCH", "records", object_type, record_id] if object_type in OBJECT_TYPES:
                emulator.edit_as_other_actor(object_type, record_id, parsed(body))
                return Reply(204)
            case ["POST", "expire-access-tokens"]:
                emulator.expire_access_tokens()
                return Reply(204)
        return Reply(404, {"message": f"the emulator has no {method} /_emulator/{'/'.join(segments)}"})

    def _faults(self, method: str, body: bytes) -> Reply:
        emulator = self._emulator
        if method == "DELETE":
            emulator.reset_faults()
            return Reply(204)
        if method == "POST":
            asked = parsed(body)
            if "probability" in asked:
                emulator.random_faults(asked["probability"], asked.get("kinds", ()), asked.get("seed", 0))
            else:
                for each in asked if isinstance(asked, list) else [asked]:
                    rest = {name: value for name, value in each.items() if name not in ("method", "path")}
                    emulator.fail_next(each.get("method", "*"), each["path"], **rest)
        pending = [each.to_json() for each in emulator.pending_faults()]
        used = [asdict(each) for each in emulator.used_faults()]
        return Reply(201 if method == "POST" else 200, {"pending": pending, "used": used})

    def _settings(self, method: str, body: bytes) -> Reply:
        emulator = self._emulator
        limit_names = {each.name for each in fields(emulator.limits)}
        if method == "PATCH":
            asked = parsed(body)
            if not isinstance(asked, dict):
                raise ValueError("an object is wanted")
            limits = {name: asked.pop(name) for name in limit_names & set(asked)}
            for name, value in limits.items():
                if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                    raise ValueError(f"{name} cannot be {value!r}")
            rotate = asked.pop("rotate_refresh_tokens", emulator.tokens.rotate_refresh_tokens)
            lifetime = asked.pop("token_lifetime_seconds", emulator.tokens.lifetime_seconds)
            emulator.switches.update(asked)
            emulator.tokens.rotate_refresh_tokens = bool(rotate)
            emulator.tokens.lifetime_seconds = float(lifetime)
            for name, value in limits.items():
                setattr(emulator.limits, name, value)
        tokens = {
            "rotate_refresh_tokens": emulator.tokens.rotate_refresh_tokens,
            "token_lifetime_seconds": emulator.tokens.lifetime_seconds,
        }
        switches: dict[str, Any] = asdict(emulator.switches)
        return Reply(200, switches | asdict(emulator.limits) | tokens)


def _request(request: Any) -> dict[str, Any]:
    found: dict[str, Any] = asdict(request)
    found["at"] = iso(found["at"])
    if isinstance(found["body"], bytes):
        found["body"] = found["body"].decode(errors="replace")
    return found
