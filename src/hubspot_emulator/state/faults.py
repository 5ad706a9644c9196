"""Scripted and random failures, consumed in order and accounted for."""

import random
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
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
# These commit what was asked for, and then lose or spoil the answer.
COMMITTING = frozenset(("drop_after", "truncated_json", "invalid_json", "cut_off", "hang_after", "slow"))
DEFAULT_SECONDS = 30.0


@dataclass(slots=True)
class Fault:
    """One failure still to come, `times` times, for requests that fit method and glob."""

    method: str
    path_pattern: str
    kind: str
    status: int | None = None
    times: int = 1
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = DEFAULT_SECONDS

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and fnmatchcase(path, self.path_pattern)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class UsedFault:
    """One failure that happened."""

    kind: str
    status: int | None
    method: str
    path: str
    random: bool = False


def scripted(
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
    """Raises ValueError for a kind that does not exist, neither kind nor status, or a value that makes no sense."""
    kind = kind or ("status" if status is not None else None)
    if kind not in KINDS or (kind == "status" and status is None):
        raise ValueError(f"a fault needs a status, or one of the kinds {', '.join(KINDS)}")
    if status is not None and not _is_status(status):
        raise ValueError(f"a status is a number from 200 to 599, not {status!r}")
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ValueError("a fault happens at least once; times is a whole number")
    if seconds is not None and not is_duration(seconds):
        raise ValueError(f"seconds cannot be {seconds!r}")
    if not isinstance(method, str) or not isinstance(path_pattern, str):
        raise ValueError("method and path are texts")
    if not all(isinstance(each, str) for pair in (headers or {}).items() for each in pair):
        raise ValueError("names and values of headers are texts")
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
    """Whether it is a number of seconds that can be waited."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 10**9


class Faults:
    """The script."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []
        self.used: list[UsedFault] = []
        self._probability = 0.0
        self._kinds: tuple[str, ...] = ()
        self._dice = random.Random(0)

    def at_random(self, probability: float, kinds: Collection[str], seed: int) -> None:
        """Each request fails with this probability; a kind may also be a status such as "503". Raises ValueError."""
        if not 0 <= probability <= 1:
            raise ValueError("a probability is a number from 0 to 1")
        unknown = [
            each
            for each in kinds
            if each not in KINDS[1:] and not (each.isdecimal() and _is_status(int(each)))
        ]
        if unknown or (probability > 0 and not kinds):
            raise ValueError(f"kinds are {', '.join(KINDS[1:])}, or a status")
        self._probability = probability
        self._kinds = tuple(kinds)
        self._dice = random.Random(seed)

    def take(self, method: str, path: str) -> Fault | None:
        """What is to happen to this request; the first fault that fits is used up."""
        for fault in self.pending:
            if fault.fits(method, path):
                fault.times -= 1
                if not fault.times:
                    self.pending.remove(fault)
                self.used.append(UsedFault(fault.kind, fault.status, method, path))
                return fault
        if self._probability and self._dice.random() < self._probability:
            kind = self._dice.choice(self._kinds)
            status = int(kind) if kind.isdigit() else 502 if kind == "html" else None
            fault = Fault(method, path, "status" if kind.isdigit() else kind, status)
            self.used.append(UsedFault(fault.kind, status, method, path, random=True))
            return fault
        return None

    def clear_pending(self) -> None:
        """What has happened stays on record."""
        self.pending.clear()
        self._probability = 0.0

    def clear(self) -> None:
        self.clear_pending()
        self.used.clear()


def canned_reply(fault: Fault, path: str) -> Reply:
    """The answer of a fault that has a status; without a body of its own it is what HubSpot says at this path."""
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
    reply = _refusal(status, path).reply()
    reply.headers |= fault.headers
    return reply


def _refusal(status: int, path: str) -> Refusal:
    # https://developers.hubspot.com/docs/api-reference/error-handling
    if status == 429:
        is_token, is_search = path.startswith("/oauth/"), path.endswith("/search")
        return limits.refusal("token" if is_token else "search" if is_search else "burst", {})
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
    category = "OBJECT_NOT_FOUND" if status == 404 else "VALIDATION_ERROR" if status == 400 else None
    return Refusal(status, "internal error" if status >= 500 else "request refused", category=category)
