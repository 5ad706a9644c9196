"""The context of a request for records: the caller, and the objects that the record services use."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot import CachedReads, CrmRecord, HubSpotClient, Partition, PartitionReads
from crm_api.hubspot.names import ObjectType
from crm_api.hubspot.wire import BatchReadResult
from crm_api.models import User
from crm_api.schemas.accounts import CustomerOperation
from crm_api.services.audit import Origin
from crm_api.services.link_resolver import ContactLinkResolver
from crm_api.services.properties.fields import CURRENCY_PROPERTY, RecordFields
from crm_api.services.properties.mapping import Model, from_record
from crm_api.services.properties.pipelines import UNRESTRICTED, CustomerStages
from crm_api.services.properties.time_slices import TimeSlices
from crm_api.services.record_versions import RecordVersions
from crm_api.services.records.cursors import Cursors

# Building a larger response takes more than a millisecond, in which the event loop serves no other request.
LARGE_RESPONSE_BYTES: Final = 256 * 1024
_ALL_OPERATIONS: Final[Sequence[CustomerOperation]] = get_args(CustomerOperation)


def allowed_operations(
    role: str, customer_operations: Sequence[CustomerOperation]
) -> list[CustomerOperation]:
    """Return what a user of this role may do."""
    return [name for name in _ALL_OPERATIONS if role == "staff" or name in customer_operations]


def text_length(record: CrmRecord) -> int:
    """Return the characters of all values of a record."""
    return sum(len(value) for value in record.properties.values() if value)


@dataclass(frozen=True, slots=True)
class RecordContext:
    """The caller, and the objects that the record services use on their behalf."""

    user: User
    hubspot: HubSpotClient
    session_factory: SessionFactory
    fields: RecordFields
    links: ContactLinkResolver
    cursors: Cursors
    customer_stages: CustomerStages
    customer_operations: Sequence[CustomerOperation]
    time_slices: TimeSlices
    lease_seconds: float
    """Time after which another request may take over the lease of a record."""
    origin: Origin
    versions: RecordVersions
    cached_reads: CachedReads | None = None
    """Cached reads for a customer's GET or search; None if every read must be live."""

    @property
    def is_staff(self) -> bool:
        """True if the caller may see and change all records."""
        return self.user.role == "staff"

    @property
    def stages(self) -> CustomerStages:
        """Pipelines and stages that the caller may use."""
        return UNRESTRICTED if self.is_staff else self.customer_stages

    def require_operation(self, operation: CustomerOperation) -> None:
        """Raise 403 if the operator does not allow the caller this operation."""
        if operation not in allowed_operations(self.user.role, self.customer_operations):
            raise ApiError("forbidden")

    @property
    def reads(self) -> HubSpotClient | PartitionReads:
        """Reads of records and associations: cached if this request may use the cache, otherwise live."""
        if self.cached_reads is None or self.user.contact_id is None:
            return self.hubspot
        # Link resolution may have changed the user since the last read.
        partition = Partition(str(self.user.id), self.user.contact_id, self.user.records_version)
        return self.cached_reads.of(partition)

    @property
    def has_used_cache(self) -> bool:
        """Whether this request has used a cached response."""
        return self.cached_reads is not None and self.cached_reads.is_used

    def live(self) -> "RecordContext":
        """Return the context with live reads only."""
        return replace(self, cached_reads=None)

    def writing(self, contact_ids: Collection[str] = ()) -> AbstractAsyncContextManager[None]:
        """Invalidate cached reads before and after a write: the caller's, or for staff those of the contacts' users."""
        return self.versions.writing(self.user, contact_ids)

    async def batch_read(
        self, object_type: ObjectType, ids: Sequence[str], *, allow_partial: bool = False
    ) -> BatchReadResult:
        """Return the records with these IDs and all readable properties, as `ObjectsApi.batch_read` does.

        Records in a pipeline that is hidden from the caller are missing, as if they did not exist.
        """
        properties = self.fields[object_type].properties
        objects = self.reads.objects(object_type)
        result = await objects.batch_read(ids, properties=properties, allow_partial=allow_partial)
        if not self.stages.is_restricted(object_type):
            return result
        visible = {key: record for key, record in result.records.items() if self.sees(object_type, record)}
        return BatchReadResult(visible, result.failed)

    def sees(self, object_type: ObjectType, record: CrmRecord) -> bool:
        """Return whether the caller sees the record's pipeline; the record must have been read with it."""
        if not self.stages.is_restricted(object_type):
            return True
        pipeline = self.fields[object_type].by_name["pipeline"].wire_name
        return self.stages.is_visible(object_type, record.get(pipeline) or "")

    async def wait_to_respond(self, records: Iterable[CrmRecord]) -> None:
        """Wait for a turn if building the response with these records would delay other requests."""
        characters = 0
        for record in records:
            characters += text_length(record)
            if characters > LARGE_RESPONSE_BYTES:
                await self.time_slices.turn()
                return

    def to_model(self, model: type[Model], record: CrmRecord, **children: Any) -> Model:
        """Translate a HubSpot record to a contact, deal or ticket of the contract. `children` sets further fields."""
        if model.OBJECT_TYPE == "deals":
            children["currency"] = record.get(CURRENCY_PROPERTY) or self.hubspot.account.currency
        return from_record(model, record, self.fields, **children)

    async def resolve_link(self) -> None:
        """Verify the caller's contact link in HubSpot and correct it. Raises 503 while the link is lost."""
        await self.links.resolve(self.hubspot, self.user, origin=self.origin)
