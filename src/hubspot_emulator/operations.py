"""Operations on an emulated account for tests and for the control API: faults, records, requests."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hubspot_emulator.rules import merges, seeding, writes
from hubspot_emulator.state.account import Account, Switches
from hubspot_emulator.state.faults import Fault, Faults, UsedFault, build_fault
from hubspot_emulator.state.limits import EmulatorLimits
from hubspot_emulator.state.request_log import Exchange, RecordedRequest, RequestLog
from hubspot_emulator.state.store import Record, RecordKey
from hubspot_emulator.state.tokens import Tokens
from hubspot_emulator.wire.names import ApiVersion

# Users of HubSpot's pages need not set the properties that an administrator requires of API callers.
_AS_HUBSPOT_USER = ApiVersion("v3")


class Operations:
    """Operations on one emulated account."""

    def __init__(self, account: Account, faults: Faults, request_log: RequestLog) -> None:
        self._account = account
        self._faults = faults
        self._request_log = request_log

    @property
    def switches(self) -> Switches:
        """Variations of HubSpot's behaviour; they may be changed at any time."""
        return self._account.switches

    @property
    def limits(self) -> EmulatorLimits:
        """Rate limits; they may be changed at any time."""
        return self._account.limits.limits

    @property
    def tokens(self) -> Tokens:
        return self._account.tokens

    @property
    def portal_id(self) -> int:
        return self._account.portal_id

    # Requests and faults

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last requests to HubSpot's URLs, oldest first."""
        return list(self._request_log.entries)

    @property
    def listeners(self) -> list[Callable[[Exchange], None]]:
        """Functions that are called with each request and its response."""
        return self._request_log.listeners

    def clear_requests(self) -> None:
        self._request_log.entries.clear()

    def fail_next(
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
        """Let the next `times` requests fail that match a method (or `*`) and a glob on the path.

        `kind` is one of faults.KINDS; without it the response is an error with `status`. Raises ValueError for a
        combination that `build_fault` refuses.
        """
        fault = build_fault(
            method,
            path_pattern,
            status=status,
            kind=kind,
            times=times,
            body=body,
            headers=headers,
            seconds=seconds,
        )
        self._faults.pending.append(fault)
        return fault

    def random_faults(self, probability: float, kinds: Collection[str], seed: int) -> None:
        """Let each request fail with this probability. A kind may be a status such as "503"."""
        self._faults.set_random(probability, kinds, seed)

    def pending_faults(self) -> list[Fault]:
        return list(self._faults.pending)

    def used_faults(self) -> list[UsedFault]:
        """Return the failures that happened, scripted and random."""
        return list(self._faults.used)

    def script(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Script these faults (`{"method", "path", ...}`). An invalid one raises ValueError, TypeError or KeyError."""
        built = []
        for fault in faults:
            options = {name: value for name, value in fault.items() if name not in ("method", "path")}
            built.append(build_fault(fault.get("method", "*"), fault["path"], **options))
        self._faults.pending.extend(built)

    def reset_faults(self) -> None:
        """Drop pending and random faults. The list of used faults stays."""
        self._faults.clear_pending()

    # Records

    def records(self, object_type: str) -> list[Record]:
        """Return the live records by ascending ID."""
        return list(self._account.store.live(object_type))

    def record(self, object_type: str, record_id: str) -> Record | None:
        """Return the record with this ID or the one that it was merged into, even if archived."""
        return self._account.store.get(object_type, record_id)

    def associations(self, from_type: str, record_id: str, to_type: str) -> list[str]:
        """Return the IDs of the associated live records, oldest association first."""
        return list(self._account.store.links(from_type, record_id, to_type))

    def seed(self, objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, list[str]]:
        """Create records from `{"contacts": [{property: value, "deals": [{..., "tickets": [...]}]}]}`.

        Nested records are associated with the record around them. An `id` may be given. Returns the IDs by type, in
        order of creation. Raises Refusal for input that HubSpot refuses, and then creates nothing.
        """
        created = seeding.seed(self._account, objects)
        self._account.journal.flush()
        return created

    def link(self, source: RecordKey, target: RecordKey) -> None:
        """Associate two records, each given as (object type, ID). Raises KeyError if one is missing."""
        for record in (source, target):
            self._require_record(*record)
        labels = self._account.labels
        forward, inverse = labels.default(source[0], target[0]), labels.default(target[0], source[0])
        writes.link(self._account, source, target, forward, inverse)
        self._account.journal.flush()

    def unlink(self, source: RecordKey, target: RecordKey) -> None:
        writes.unlink(self._account, source, target)
        self._account.journal.flush()

    def merge(self, object_type: str, primary_id: str, merged_id: str) -> str:
        """Merge two records as a HubSpot user does; return the survivor's ID. Raises Refusal unless both are live."""
        survivor = merges.merge(self._account, object_type, primary_id, merged_id)
        self._account.journal.flush()
        return survivor.id

    def archive_as_other_actor(self, object_type: str, record_id: str) -> None:
        """Archive a record as a HubSpot user does. Raises KeyError if it does not exist."""
        self._require_record(object_type, record_id)
        writes.archive(self._account, object_type, record_id)
        self._account.journal.flush()

    def restore_as_other_actor(self, object_type: str, record_id: str) -> None:
        """Restore a record. Raises KeyError if it is missing, Refusal if a live record has its unique value."""
        record = self._require_record(object_type, record_id)
        if record.archived:
            writes.check_restore(self._account, record)
            self._account.store.restore(record)
            self._account.journal.flush()

    def edit_as_other_actor(self, object_type: str, record_id: str, properties: Mapping[str, Any]) -> None:
        """Change a record as a HubSpot user does. Raises KeyError if it is missing, Refusal for an invalid value."""
        record = self._require_record(object_type, record_id)
        values = writes.check_update(self._account, record, properties, _AS_HUBSPOT_USER)
        writes.update(self._account, record, values)
        self._account.journal.flush()

    def edit_definition_as_other_actor(self, object_type: str, name: str, changes: Mapping[str, Any]) -> None:
        """Change members of a property's definition that HubSpot offers only in its pages."""
        definitions = self._account.schema.definitions[object_type]
        self._account.schema.put_property(object_type, definitions[name] | dict(changes))
        self._account.journal.flush()

    def settle_search(self) -> None:
        """Apply all pending changes to the search index."""
        self._account.index.settle(everything=True)

    def expire_access_tokens(self) -> None:
        """Let every access token that was issued here expire now."""
        self._account.tokens.expire_all()
        self._account.journal.flush()

    def reset(self) -> None:
        """Return to a new account: no records, default schema, no faults, no recorded requests."""
        self._account.reset()
        self._faults.clear()
        self.clear_requests()

    def close(self) -> None:
        """Release the state file. A second call has no effect."""
        self._account.journal.close()

    def _require_record(self, object_type: str, record_id: str) -> Record:
        record = self._account.store.get(object_type, record_id)
        if record is None:
            raise KeyError(f"there is no {object_type} record {record_id}")
        return record
