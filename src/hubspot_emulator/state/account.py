"""The emulated HubSpot account: its records, schema, tokens, limits and switches."""

import gc
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from hubspot_emulator.state.faults import is_duration
from hubspot_emulator.state.journal import Journal, StateFileError
from hubspot_emulator.state.labels import Labels
from hubspot_emulator.state.limits import EmulatorLimits, RateLimits
from hubspot_emulator.state.schema import Schema
from hubspot_emulator.state.search_index import SearchIndex
from hubspot_emulator.state.store import Record, Store
from hubspot_emulator.state.tokens import Tokens
from hubspot_emulator.wire.names import OBJECT_TYPES
from hubspot_emulator.wire.timestamps import format_timestamp

# Some of HubSpot's rule types.
# https://developers.hubspot.com/docs/api-reference/legacy/crm/property-validations/guide
RULES = frozenset({"MIN_NUMBER", "MAX_NUMBER", "MIN_LENGTH", "MAX_LENGTH", "REGEX"})


@dataclass(slots=True)
class Switches:
    """Variations of HubSpot's behaviour that can be changed while the emulator runs."""

    search_lag_seconds: float = 0.0
    latency_seconds: float = 0.0
    latency_jitter_seconds: float = 0.0
    association_page_size: int = 500
    inline_association_page_size: int = 100
    merge_keeps_primary_id: bool = False
    """HubSpot's beta "Primary ID Preservation". Without it a merge creates a record with a new ID."""
    duplicate_email_is_400: bool = False
    """Refuse the e-mail address of another contact with the 400 of a unique property instead of a 409."""
    required_properties: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By object type: properties that an administrator requires on create (from API version 2026-09 on)."""
    conditional_properties: Mapping[str, Mapping[str, Collection[str]]] = field(default_factory=dict)
    """By object type: properties required if another one is set, `{"deals": {"dealstage=closedlost": ["dealtype"]}}`.

    The condition is a property, or a property and its value. Enforced from API version 2026-09 on.
    """
    validation_rules: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    """By object type and property: rules for its values, `{"deals": {"amount": {"MIN_NUMBER": "100"}}}`."""
    scopes: Collection[str] | None = None
    """Scopes of every token; None means all."""
    compression: bool = True
    """Whether responses are compressed with gzip for callers who accept it."""
    time_zone: str = "UTC"
    """Time zone of the account, as in `Europe/Berlin`."""

    def update(self, changes: Mapping[str, Any]) -> None:
        """Apply all changes or none. Raises ValueError for an unknown switch or an invalid value."""
        if unknown := set(changes) - {switch.name for switch in fields(self)}:
            raise ValueError(f"no such switch: {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            if not _VALIDATORS[name](value):
                raise ValueError(f"{name} cannot be {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)


def _is_page_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 10**9


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, Collection)
        and not isinstance(value, str | Mapping)
        and all(isinstance(name, str) for name in value)
    )


def _is_by_type(value: Any, is_valid: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(
        object_type in OBJECT_TYPES and is_valid(setting) for object_type, setting in value.items()
    )


def _are_conditions(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_are_names, value.values()))


def _are_rules(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(rules, Mapping)
        and all(rule in RULES and isinstance(argument, str) for rule, argument in rules.items())
        for rules in value.values()
    )


_VALIDATORS: Mapping[str, Callable[[Any], bool]] = {
    "search_lag_seconds": is_duration,
    "latency_seconds": is_duration,
    "latency_jitter_seconds": is_duration,
    "association_page_size": _is_page_size,
    "inline_association_page_size": _is_page_size,
    "merge_keeps_primary_id": _is_flag,
    "compression": _is_flag,
    "time_zone": lambda value: isinstance(value, str) and value in available_timezones(),
    "scopes": lambda value: value is None or _are_names(value),
    "duplicate_email_is_400": _is_flag,
    "required_properties": partial(_is_by_type, is_valid=_are_names),
    "conditional_properties": partial(_is_by_type, is_valid=_are_conditions),
    "validation_rules": partial(_is_by_type, is_valid=_are_rules),
}


class Account:
    """State that HubSpot calls read and change. Not thread-safe."""

    def __init__(
        self,
        state: Path | None,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        switches: Switches,
        limits: EmulatorLimits,
        tokens: Tokens,
        portal_id: int,
    ) -> None:
        self.clock = clock
        self.portal_id = portal_id
        self.switches = switches
        self.journal = Journal(state)
        self.tokens = tokens
        self.limits = RateLimits(limits, clock=clock, monotonic=monotonic)
        self.schema = Schema(self.journal)
        self.labels = Labels(self.journal)
        self.index = SearchIndex(lambda: switches.search_lag_seconds, monotonic)
        self.store = Store(self.journal, self._changed)
        self.tokens.attach(self.journal)
        try:
            self._load()
        except (sqlite3.Error, ValueError, LookupError, TypeError, AttributeError) as error:
            self.journal.close()
            # The text of the error may quote records.
            raise StateFileError(
                f"{state} is damaged; move it away to start with a new file ({type(error).__name__})"
            ) from None

    def _load(self) -> None:
        # The garbage collector would look at all loaded records again and again.
        collects = gc.isenabled()
        gc.disable()
        try:
            self._load_all()
        finally:
            if collects:
                gc.enable()

    def _load_all(self) -> None:
        self.schema.load()
        self.labels.load()
        self.tokens.load()
        unique = [
            (object_type, name)
            for object_type in self.schema.definitions
            for name in self.schema.unique_properties(object_type)
        ]
        for object_type, name in unique:
            self.index.index_property(object_type, name)
        self.index.loading = True
        self.store.load(unique)
        self.index.loading = False

    def reset(self) -> None:
        """Return to the state of a new account. Limits and switches keep their settings."""
        self.journal.clear()
        self.schema.reset()
        self.labels.reset()
        self.index.reset()
        self.store.reset()
        self.tokens.reset()
        self.limits.reset()
        self.journal.flush()

    def now(self) -> str:
        return format_timestamp(self.clock().astimezone(UTC))

    def _changed(self, record: Record, removed: bool) -> None:
        self.index.changed(record.object_type, record.id, None if removed else record.properties)
