"""One HubSpot account: its records, schema, tokens, limits and switches in one place."""

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

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


@dataclass(slots=True)
class Switches:
    """HubSpot's habits that can be turned on and off while running."""

    search_lag_seconds: float = 0.0
    latency_seconds: float = 0.0
    latency_jitter_seconds: float = 0.0
    association_page_size: int = 500
    inline_association_page_size: int = 100
    merge_keeps_primary_id: bool = False
    """The beta "Primary ID Preservation"; normally a merge makes a new id."""
    required_properties: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By object type: what an administrator requires on create, from 2026-09 on."""
    conditional_properties: Mapping[str, Mapping[str, Collection[str]]] = field(default_factory=dict)
    """By object type: property -> what is required once that property has a value, from 2026-09 on."""
    compression: bool = True
    """gzip for callers who accept it, as HubSpot's edge does."""

    def update(self, changes: Mapping[str, Any]) -> None:
        """All of the changes or none. Raises ValueError for a name or a kind of value that does not exist."""
        if unknown := set(changes) - {each.name for each in fields(self)}:
            raise ValueError(f"no such switch: {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            if not _FITS[name](value):
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
        and all(isinstance(each, str) for each in value)
    )


def _is_by_type(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(
        key in OBJECT_TYPES and fits(each) for key, each in value.items()
    )


def _are_conditions(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_are_names, value.values()))


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "search_lag_seconds": is_duration,
    "latency_seconds": is_duration,
    "latency_jitter_seconds": is_duration,
    "association_page_size": _is_page_size,
    "inline_association_page_size": _is_page_size,
    "merge_keeps_primary_id": _is_flag,
    "compression": _is_flag,
    "required_properties": partial(_is_by_type, fits=_are_names),
    "conditional_properties": partial(_is_by_type, fits=_are_conditions),
}


class Account:
    """Everything that requests read and change; used from one event loop only."""

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
        except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
            self.journal.close()
            raise StateFileError(f"{state} is damaged; move it away to start anew ({error})") from error

    def _load(self) -> None:
        self.schema.load()
        self.labels.load()
        self.tokens.load()
        unique = [
            (each, name) for each in self.schema.definitions for name in self.schema.unique_properties(each)
        ]
        for object_type, name in unique:
            self.index.index_property(object_type, name)
        self.index.loading = True
        self.store.load(unique)
        self.index.loading = False

    def reset(self) -> None:
        """As a new account."""
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
