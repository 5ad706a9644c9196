"""Creating one record exactly once, although answers get lost."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final

from crm_api.hubspot.errors import (
    HubSpotConflictError,
    HubSpotError,
    HubSpotNotFoundError,
    HubSpotOutcomeUnknownError,
    HubSpotValidationError,
)
from crm_api.hubspot.names import SHARED_IDENTIFIERS
from crm_api.hubspot.wire import RECORD, CrmRecord, NewAssociation, UniqueValue

if TYPE_CHECKING:
    from crm_api.hubspot.client import HubSpotClient
    from crm_api.hubspot.resources.objects import ObjectsApi

# How long a new record is given to be found by its unique value.
READABLE_AFTER_SECONDS: Final = 1.0


class Creation:
    """One record to be created; see `ObjectsApi.create`.

    HubSpot has no idempotency key. What it has is unique properties: a second create with the same value is
    refused (409 for a contact's e-mail, 400 for others), and a record can be read by one.
    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """

    def __init__(
        self,
        client: "HubSpotClient",
        records: "ObjectsApi",
        properties: Mapping[str, str],
        associations: Sequence[NewAssociation],
        unique: UniqueValue | None,
        read: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._records = records
        self._unique = unique
        self._read = read
        self._properties = dict(properties)
        if unique is not None:
            self._properties[unique.property] = unique.value
        self._associations = associations
        self._operation = f"{records.object_type}.create"
        self._scope = client.scope()

    async def run(self, *, resume: bool) -> CrmRecord:
        """Create it, or find out that it has been created."""
        if self._unique is None:
            return await self._create_without_unique()
        unclear: HubSpotError | None = None
        """Why an earlier try may have created it."""
        if resume:
            found = await self._find(cause=None)
            if found is not None:
                return self._adopt(found)
        for attempt in count(1):
            try:
                return await self._send(reserve_seconds=self._client.create_reserve_seconds(self._scope))
            except HubSpotError as error:
                failure = error
            tried_before = resume or unclear is not None
            if self._may_be_our_own(failure, tried_before=tried_before):
                return await self._settle_refusal(failure, unclear, tried_before=tried_before)
            if not failure.sent:
                if unclear is None:
                    raise failure
                raise self._unknown(unclear)
            unclear = failure
            found = await self._find(cause=failure)
            if found is not None:
                return self._adopt(found)
            left = self._scope.remaining() - self._client.create_reserve_seconds(self._scope)
            # The record is not there, so repeating is as if the call were idempotent, and no more often.
            if not await self._client.pause_before_repeat(failure, attempt=attempt, seconds=left):
                raise self._unknown(failure)
        raise AssertionError  # pragma: no cover - count() does not end

    def _may_be_our_own(self, failure: HubSpotError, *, tried_before: bool) -> bool:
        """Whether a refusal may come from the record that a try of ours has made.

        That try may be another process's, which has taken our request over because we were slow: so the value of a
        property of our own alone says it.
        """
        if not isinstance(failure, HubSpotConflictError | HubSpotValidationError):
            return False
        if tried_before or self._unique is None or self._unique.property in SHARED_IDENTIFIERS:
            return tried_before
        if isinstance(failure, HubSpotConflictError):
            return True
        named = {problem.property for problem in failure.problems if problem.property is not None}
        return failure.duplicate_unique_value and (not named or self._unique.property in named)

    async def _create_without_unique(self) -> CrmRecord:
        try:
            return await self._send(reserve_seconds=0.0)
        except HubSpotError as error:
            failure = error
        raise self._unknown(failure) if failure.sent else failure

    async def _send(self, *, reserve_seconds: float) -> CrmRecord:
        body: dict[str, object] = {"properties": self._properties}
        if self._associations:
            body["associations"] = [each.to_wire(self._records.object_type) for each in self._associations]
        answer: CrmRecord = await self._client.request(
            "POST",
            self._client.paths.objects(self._records.object_type),
            operation=self._operation,
            json=body,
            idempotent=False,
            answer=RECORD,
            scope=self._scope,
            reserve_seconds=reserve_seconds,
        )
        return answer

    async def _find(self, *, cause: HubSpotError | None) -> CrmRecord | None:
        """The record with the unique value, or None; `cause` is what a failure to look leaves unexplained."""
        if self._unique is None:
            raise AssertionError
        try:
            return await self._records.get(
                self._unique.value,
                properties=tuple(dict.fromkeys((*self._properties, *self._read))),
                id_property=self._unique.property,
                scope=self._scope,
            )
        except HubSpotNotFoundError:
            return None
        except HubSpotError as error:
            failure = error
        raise self._unknown(cause or failure)

    async def _settle_refusal(
        self, refusal: HubSpotError, unclear: HubSpotError | None, *, tried_before: bool
    ) -> CrmRecord:
        """A create was refused: because a try of ours has made the record, or on its own account."""
        cause = unclear or refusal
        found = await self._find(cause=cause)
        if found is not None:
            return self._adopt(found)
        if _has_another_reason(refusal):
            raise refusal
        # It exists, or may, and it cannot be read yet: whoever repeated now would be refused again.
        if self._scope.remaining() > READABLE_AFTER_SECONDS:
            await self._client.pause(READABLE_AFTER_SECONDS)
            found = await self._find(cause=cause)
            if found is not None:
                return self._adopt(found)
        # A contact may have the address as its second one, by which it cannot be read.
        is_shared = self._unique is not None and self._unique.property in SHARED_IDENTIFIERS
        if tried_before and not (is_shared and isinstance(refusal, HubSpotConflictError)):
            raise self._unknown(cause)
        raise refusal

    def _adopt(self, found: CrmRecord) -> CrmRecord:
        """Take a record found by the unique value for ours.

        An e-mail address may be that of a contact that was there before us; it is ours if it says what we sent.
        """
        if self._unique is not None and self._unique.property in SHARED_IDENTIFIERS:
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


def _has_another_reason(refusal: HubSpotError) -> bool:
    """Whether a refusal says what is wrong, and that is not that the value is taken.

    The text for a taken value is not documented, and a body may come mutilated: what says nothing may mean that.
    """
    if not isinstance(refusal, HubSpotValidationError) or refusal.duplicate_unique_value:
        return False
    return refusal.names_unknown_association or any(problem.property for problem in refusal.problems)
