"""Scripted and random failures of the emulator, and the record of those that happened."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from hubspot_emulator.state import limits
from hubspot_emulator.wire.replies import Refusal, Reply

KINDS = (
    "status",
    "html",
    "drop_before",
    "drop_after",
    "truncated_json",
    "invalid_json",
    "cut_off",
    "hang_before",
    "hang_after",
    "slow",
)
# Kinds that execute the call and then lose, delay or corrupt the response.
COMMITTING_KINDS = frozenset(
    ("drop_after", "truncated_json", "invalid_json", "cut_off", "hang_after", "slow")
)
DEFAULT_SECONDS = 30.0


@dataclass(slots=True)
class Fault:
    """Failure of the next `times` requests that match a method (or `*`) and a glob on the path."""

    method: str
    path_pattern: str
    kind: str
    status: int | None = None
    times: int = 1
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = DEFAULT_SECONDS

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and fnmatchcase(path, self.path_pattern)


@dataclass(frozen=True, slots=True)
class UsedFault:
    """Failure that happened."""

    kind: str
    status: int | None
    method: str
    path: str
    random: bool = False


def build_fault(
    method: str,
    path_pattern: str,
    *,
    status: int | None = None,
    kind: str | None = None,
    times: int = 1,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> Fault:
    """Build a fault. Raises ValueError for an unknown kind, neither kind nor status, or an invalid value."""
    kind = kind or ("status" if status is not None else None)
    if kind not in KINDS or (kind == "status" and status is None):
        raise ValueError(f"a fault needs a status or one of the kinds {', '.join(KINDS)}")
    if status is not None and not _is_status(status):
        raise ValueError(f"status must be a number from 200 to 599, not {status!r}")
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ValueError("times must be a whole number of at least 1")
    if seconds is not None and not is_duration(seconds):
        raise ValueError(f"seconds cannot be {seconds!r}")
    if not isinstance(method, str) or not isinstance(path_pattern, str):
        raise ValueError("method and path must be strings")
    if not all(isinstance(text, str) for header in (headers or {}).items() for text in header):
        raise ValueError("names and values of headers must be strings")
    return Fault(
        method.upper(),
        path_pattern,
        kind,
        502 if kind == "html" and status is None else status,
        times,
        body,
        dict(headers or {}),
        DEFAULT_SECONDS if seconds is None else seconds,
    )


def _is_status(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 200 <= number <= 599


def is_duration(seconds: Any) -> bool:
    """Return True for a number of seconds that is not negative and below 10**9."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 10**9


class Faults:
    """Pending faults, random faults, and the faults that happened."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []
        self.used: list[UsedFault] = []
        self._probability = 0.0
        self._kinds: tuple[str, ...] = ()
        self._random = random.Random(0)

    def set_random(self, probability: float, kinds: Collection[str], seed: int) -> None:
        """Fail requests with a probability. Kinds may be statuses ("503"). Raises ValueError for invalid arguments."""
        if not 0 <= probability <= 1:
            raise ValueError("probability must be a number from 0 to 1")
        unknown = [
            kind
            for kind in kinds
            if kind not in KINDS[1:] and not (kind.isdecimal() and _is_status(int(kind)))
        ]
        if unknown or (probability > 0 and not kinds):
            raise ValueError(f"kinds must be {', '.join(KINDS[1:])}, or a status")
        self._probability = probability
        self._kinds = tuple(kinds)
        self._random = random.Random(seed)

    def consume(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request: the first pending one that matches, or a random one."""
        for fault in self.pending:
            if fault.matches(method, path):
                fault.times -= 1
                if not fault.times:
                    self.pending.remove(fault)
                self.used.append(UsedFault(fault.kind, fault.status, method, path))
                return fault
        if self._probability and self._random.random() < self._probability:
            kind = self._random.choice(self._kinds)
            status = int(kind) if kind.isdecimal() else None
            fault = build_fault(method, path, status=status, kind="status" if status else kind)
            self.used.append(UsedFault(fault.kind, fault.status, method, path, random=True))
            return fault
        return None

    def clear_pending(self) -> None:
        """Drop pending and random faults. The record of used faults stays."""
        self.pending.clear()
        self._probability = 0.0

    def clear(self) -> None:
        self.clear_pending()
        self.used.clear()


def scripted_reply(fault: Fault, path: str) -> Reply:
    """Build the response of a `status` or `html` fault, by default with HubSpot's body for the status and path."""
    status = fault.status or 500
    if fault.kind == "html":
        page = (
            fault.body or f"<html><head><title>{status}</title></head><body><h1>cloudflare</h1></body></html>"
        )
        return Reply(
            status, raw=str(page).encode(), content_type="text/html; charset=UTF-8", headers=fault.headers
        )
    if isinstance(fault.body, str):
        return Reply(status, raw=fault.body.encode(), headers=fault.headers)
    if fault.body is not None:
        return Reply(status, fault.body, fault.headers)
    reply = _default_refusal(status, path).reply()
    reply.headers |= fault.headers
    return reply


def _default_refusal(status: int, path: str) -> Refusal:
    # https://developers.hubspot.com/docs/api-reference/error-handling
    if status == 429:
        if path.startswith("/oauth/"):
            return limits.rate_limit_refusal("token", {})
        return limits.rate_limit_refusal("search" if path.endswith("/search") else "burst", {})
    if status == 401:
        return Refusal(
            401,
            "The OAuth token used to make this call expired 75 second(s) ago.",
            category="EXPIRED_AUTHENTICATION",
            context={"expire time": ["2022-06-21T10:37:52.040Z"]},
        )
    if status == 403:
        return Refusal(
            403,
            "This app hasn't been granted all required scopes to make this call. Read more about required "
            "scopes here: https://developers.hubspot.com/scopes.",
            category="MISSING_SCOPES",
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": ["crm.objects.contacts.read"]},
                }
            ],
            extra={"links": {"scopes": "https://developers.hubspot.com/scopes"}},
        )
    if status == 423:
        return Refusal(423, "The record is locked by another write", category="LOCKED")
    categories = {400: "VALIDATION_ERROR", 404: "OBJECT_NOT_FOUND"}
    message = "internal error" if status >= 500 else "request refused"
    return Refusal(status, message, category=categories.get(status))
