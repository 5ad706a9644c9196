"""Scripted and random failures, consumed in order and accounted for."""

import random
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from crm_api.hubspot_emulator.replies import Refusal, Reply

KINDS = (
    "status",
    "html",
    "drop_before",
    "drop_after",
    "truncated_json",
    "invalid_json",
    "hang_before",
    "hang_after",
    "slow",
)
# These commit what was asked for, and then lose or spoil the answer.
COMMITTING = frozenset(("drop_after", "truncated_json", "invalid_json", "hang_after", "slow"))
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


class Faults:
    """The script."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []
        self.used: list[UsedFault] = []
        self._probability = 0.0
        self._kinds: tuple[str, ...] = ()
        self._dice = random.Random(0)

    def add(
        self,
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
        """Raises ValueError for a kind that does not exist, or neither kind nor status."""
        kind = kind or ("status" if status is not None else None)
        if kind not in KINDS or (kind == "status" and status is None):
            raise ValueError(f"a fault needs a status, or one of the kinds {', '.join(KINDS)}")
        if times < 1:
            raise ValueError("a fault happens at least once")
        fault = Fault(
            method.upper(),
            path_pattern,
            kind,
            502 if kind == "html" and status is None else status,
            times,
            body,
            dict(headers or {}),
            DEFAULT_SECONDS if seconds is None else seconds,
        )
        self.pending.append(fault)
        return fault

    def at_random(self, probability: float, kinds: Collection[str], seed: int) -> None:
        """Each request fails with this probability; a kind may also be a status such as "503"."""
        unknown = [each for each in kinds if each not in KINDS[1:] and not each.isdigit()]
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


def canned_reply(fault: Fault) -> Reply:
    """The answer of a fault that has a status."""
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
    reply = _refusal(status).reply()
    reply.headers |= fault.headers
    return reply


def _refusal(status: int) -> Refusal:
    # https://developers.hubspot.com/docs/api-reference/error-handling
    if status == 429:
        return Refusal(
            429,
            "You have reached your ten_secondly_rolling limit.",
            extra={"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"},
        )
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
