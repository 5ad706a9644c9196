"""Exactly-once creation of one record, although responses can be lost."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from crm_api.hubspot.errors import (
    HubSpotConflictError,
    HubSpotError,
    HubSpotNotFoundError,
    HubSpotOutcomeUnknownError,
    HubSpotValidationError,
)
from crm_api.hubspot.names import SHARED_IDENTIFIERS
from crm_api.hubspot.resources.batches import RecordReads
from crm_api.hubspot.sender import Sender
from crm_api.hubspot.wire import CrmRecord, NewAssociation, UniqueValue

# HubSpot's lookup by unique value lags behind the create by up to this long.
LOOKUP_LAG_SECONDS: Final = 1.0


class Creation:
    """Creation of one record with a value of a unique property; see `ObjectsApi.create`.

    HubSpot has no idempotency key, but unique properties: it rejects a second create with the same value (409 for a
    contact's e-mail address, 400 for other properties), and a record can be read by such a value.
    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """

    def __init__(
        self,
        sender: Sender,
        reads: RecordReads,
        properties: Mapping[str, str],
        associations: Sequence[NewAssociation],
        unique: UniqueValue | None,
        lookup_properties: Sequence[str] = (),
    ) -> None:
        self._sender = sender
        self._reads = reads
        self._unique = unique
        self._lookup_properties = lookup_properties
        self._properties = dict(properties)
        self._is_shared = False
        if unique is not None:
            self._properties[unique.property] = unique.value
            self._is_shared = unique.property in SHARED_IDENTIFIERS
        self._body: dict[str, object] = {"properties": self._properties}
        if associations:
            self._body["associations"] = [
                association.to_wire(reads.object_type) for association in associations
            ]
        self._operation = f"{reads.object_type}.create"
        self._context = sender.context()
        self._reserve_seconds = 0.0 if unique is None else sender.create_reserve_seconds(self._context)

    async def run(self, *, is_retry: bool) -> CrmRecord:
        """Create the record, or return the one that an earlier attempt created."""
        earlier_failure: HubSpotError | None = None
        """Error of an earlier attempt that may have created the record."""
        if is_retry and self._unique is not None:
            found = await self._find(cause=None)
            if found is not None:
                return self._adopt(found)
        for attempt in count(1):
            try:
                return await self._sender.request(
                    "POST",
                    self._sender.paths.crm("objects", self._reads.object_type),
                    operation=self._operation,
                    json=self._body,
                    idempotent=False,
                    response=CrmRecord,
                    context=self._context,
                    reserve_seconds=self._reserve_seconds,
                )
            except HubSpotError as error:
                failure = error
            if self._unique is None:
                break
            if self._may_be_duplicate_of_own(failure, is_retry=is_retry):
                return await self._resolve_rejection(failure, earlier_failure, is_retry=is_retry)
            if not failure.sent:
                break
            earlier_failure, is_retry = failure, True
            found = await self._find(cause=failure)
            if found is not None:
                return self._adopt(found)
            remaining = self._context.remaining() - self._reserve_seconds
            # The record does not exist, so this create may be retried like an idempotent call.
            if not await self._sender.wait_for_retry(failure, attempt=attempt, seconds=remaining):
                break
        cause = earlier_failure or failure
        if cause.sent:
            raise self._unknown(cause)
        raise cause

    def _may_be_duplicate_of_own(self, failure: HubSpotError, *, is_retry: bool) -> bool:
        """Return True if HubSpot may have rejected the create because our own attempt already created the record.

        On the first attempt, another process may have taken over this request because we were slow. Only a value
        of a property that no other program sets proves that.
        """
        if not isinstance(failure, HubSpotConflictError | HubSpotValidationError):
            return False
        if is_retry or self._unique is None or self._is_shared:
            return is_retry
        if isinstance(failure, HubSpotConflictError):
            return True
        named = {problem.property for problem in failure.problems if problem.property is not None}
        return failure.duplicate_unique_value and (not named or self._unique.property in named)

    async def _find(self, *, cause: HubSpotError | None) -> CrmRecord | None:
        """Look up the record by its unique value. If the lookup fails too, raise an unknown outcome with `cause`."""
        assert self._unique is not None
        try:
            return await self._reads.get(
                self._unique.value,
                properties=tuple(dict.fromkeys((*self._properties, *self._lookup_properties))),
                id_property=self._unique.property,
                context=self._context,
            )
        except HubSpotNotFoundError:
            return None
        except HubSpotError as error:
            failure = error
        raise self._unknown(cause or failure)

    async def _resolve_rejection(
        self, rejection: HubSpotError, earlier_failure: HubSpotError | None, *, is_retry: bool
    ) -> CrmRecord:
        """Return the record if our own attempt created it; otherwise raise the rejection or an unknown outcome."""
        cause = earlier_failure or rejection
        found = await self._find(cause=cause)
        if found is not None:
            return self._adopt(found)
        if _has_another_reason(rejection):
            raise rejection
        # The record may exist without being readable yet, so retrying the create now would be rejected again.
        if self._context.remaining() > LOOKUP_LAG_SECONDS:
            await self._sender.sleep(LOOKUP_LAG_SECONDS)
            found = await self._find(cause=cause)
            if found is not None:
                return self._adopt(found)
        # A contact may have this address as its secondary one, by which HubSpot cannot look it up.
        if is_retry and not (self._is_shared and isinstance(rejection, HubSpotConflictError)):
            raise self._unknown(cause)
        raise rejection

    def _adopt(self, found: CrmRecord) -> CrmRecord:
        """Return the record if it is ours. Raises `HubSpotConflictError` otherwise.

        An e-mail address may belong to a contact that existed before; it is ours if it has the values that we sent.
        """
        if self._unique is not None and self._is_shared:
            sent = {name: value for name, value in self._properties.items() if name != self._unique.property}
            if any((found.get(name) or "") != value for name, value in sent.items()):
                raise HubSpotConflictError(existing_id=found.id, operation=self._operation, sent=True)
        return found

    def _unknown(self, cause: HubSpotError) -> HubSpotOutcomeUnknownError:
        return HubSpotOutcomeUnknownError(
            cause=cause,
            operation=self._operation,
            status_code=cause.status_code,
            correlation_id=cause.correlation_id,
            retry_after=cause.retry_after,
        )


def _has_another_reason(rejection: HubSpotError) -> bool:
    """Return True if HubSpot names a reason other than a duplicate value.

    HubSpot does not document its text for duplicates, and a body may arrive truncated, so a rejection without a reason
    may mean a duplicate.
    """
    if not isinstance(rejection, HubSpotValidationError) or rejection.duplicate_unique_value:
        return False
    return rejection.names_unknown_association or any(problem.property for problem in rejection.problems)
