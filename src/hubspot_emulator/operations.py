"""What tests do to an emulated account, in Python or by the URLs under /_emulator/."""

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

# Rules that an administrator set bind the API's callers, not the account's own people.
_AS_A_PERSON = ApiVersion("v3")


class Operations:
    """The Python interface of one emulated account."""

    def __init__(self, account: Account, faults: Faults, request_log: RequestLog) -> None:
        self._account = account
        self._faults = faults
        self._request_log = request_log

    @property
    def switches(self) -> Switches:
        """HubSpot's habits; may be changed at any time."""
        return self._account.switches

    @property
    def limits(self) -> EmulatorLimits:
        """May be changed at any time."""
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
        """What was asked of HubSpot's URLs, oldest first; the oldest are dropped."""
        return list(self._request_log.entries)

    @property
    def listeners(self) -> list[Callable[[Exchange], None]]:
        """Called with each answered request."""
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
        """Script a failure of the next `times` requests that fit a method (or `*`) and a glob on the path.

        Kinds: drop_before, drop_after, truncated_json, invalid_json, cut_off, hang_before, hang_after, slow, html;
        without a kind the answer is an error with `status`. Raises ValueError for anything else.
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
        """Let each request fail with this probability; a kind may also be a status such as "503"."""
        self._faults.set_random(probability, kinds, seed)

    def pending_faults(self) -> list[Fault]:
        return list(self._faults.pending)

    def used_faults(self) -> list[UsedFault]:
        """Every failure that happened, scripted or random."""
        return list(self._faults.used)

    def script(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Several `fail_next` at once, each `{"method", "path", ...}`; all or none. Raises ValueError, TypeError."""
        made = []
        for each in faults:
            rest = {name: value for name, value in each.items() if name not in ("method", "path")}
            made.append(build_fault(each.get("method", "*"), each["path"], **rest))
        self._faults.pending.extend(made)

    def reset_faults(self) -> None:
        """Drop what is still to come, random failures too; what has happened stays on record."""
        self._faults.clear_pending()

    # Records

    def records(self, object_type: str) -> list[Record]:
        """The live records in rising order of id."""
        return list(self._account.store.live(object_type))

    def record(self, object_type: str, record_id: str) -> Record | None:
        """By id, following merges; archived ones too."""
        return self._account.store.get(object_type, record_id)

    def associations(self, from_type: str, record_id: str, to_type: str) -> list[str]:
        """Ids of linked live records, in the order in which they were linked."""
        return list(self._account.store.links(from_type, record_id, to_type))

    def seed(self, objects: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, list[str]]:
        """Create records from `{"contacts": [{property: value, "deals": [{..., "tickets": [...]}]}]}`.

        Nested records are linked with the one they stand in. An `id` may be given. Answers the ids by type, in the
        order in which they were made. All are made or none: raises Refusal as HubSpot would.
        """
        made = seeding.seed(self._account, objects)
        self._account.journal.flush()
        return made

    def link(self, source: RecordKey, target: RecordKey) -> None:
        """Link two records, each named by (object type, id), by the default type. Raises KeyError."""
        for each in (source, target):
            self._account_has(*each)
        association_type = self._account.labels.default(source[0], target[0])
        writes.link(
            self._account,
            source,
            target,
            association_type,
            self._account.labels.default(target[0], source[0]),
        )
        self._account.journal.flush()

    def unlink(self, source: RecordKey, target: RecordKey) -> None:
        writes.unlink(self._account, source, target)
        self._account.journal.flush()

    def merge(self, object_type: str, primary_id: str, merged_id: str) -> str:
        """As somebody does it in HubSpot's pages; answers the survivor's id. Raises Refusal."""
        survivor = merges.merge(self._account, object_type, primary_id, merged_id)
        self._account.journal.flush()
        return survivor.id

    def archive_as_other_actor(self, object_type: str, record_id: str) -> None:
        """Raises KeyError for a record that does not exist, as the next two do."""
        self._account_has(object_type, record_id)
        writes.archive(self._account, object_type, record_id)
        self._account.journal.flush()

    def restore_as_other_actor(self, object_type: str, record_id: str) -> None:
        """Raises Refusal when its e-mail or a unique value belongs to another record by now."""
        record = self._account_has(object_type, record_id)
        if record.archived:
            writes.check_restore(self._account, record)
            self._account.store.restore(record)
            self._account.journal.flush()

    def edit_as_other_actor(self, object_type: str, record_id: str, properties: Mapping[str, Any]) -> None:
        """Raises Refusal for a value that HubSpot refuses."""
        record = self._account_has(object_type, record_id)
        values = writes.check_update(self._account, record, properties, _AS_A_PERSON)
        writes.update(self._account, record, values)
        self._account.journal.flush()

    def settle_search(self) -> None:
        """Let the search index catch up at once."""
        self._account.index.settle(everything=True)

    def expire_access_tokens(self) -> None:
        """Every access token that was issued here is expired from now on."""
        self._account.tokens.expire_all()
        self._account.journal.flush()

    def reset(self) -> None:
        """A new account: no records, default schema, no faults, no requests."""
        self._account.reset()
        self._faults.clear()
        self.clear_requests()

    def close(self) -> None:
        """Let go of the state file; may be called twice."""
        self._account.journal.close()

    def _account_has(self, object_type: str, record_id: str) -> Record:
        record = self._account.store.get(object_type, record_id)
        if record is None:
            raise KeyError(f"there is no {object_type} record {record_id}")
        return record
