"""HubSpot's JSON as Pydantic models."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from crm_api.hubspot.names import ASSOCIATION_TYPE_IDS, ObjectType

T = TypeVar("T")
logger = logging.getLogger(__name__)


class WireModel(BaseModel):
    """Base of HubSpot's JSON objects: frozen, camelCase on the wire, numbers accepted as text.

    HubSpot sends IDs and `after` as text or number: https://github.com/HubSpot/hubspot-api-nodejs/issues/480
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        coerce_numbers_to_str=True,
        extra="ignore",
    )


class DefinitionModel(WireModel):
    """Base of properties, pipelines and their parts. A null member is an absent one; the default label is the name."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        members = {name: member for name, member in value.items() if member is not None}
        if not members.get("label"):
            members["label"] = members.get("name") or members.get("value") or members.get("id") or ""
        return members


class NoContent(WireModel):
    """Response whose body is empty or not needed."""


def _null_to_empty_list(value: Any) -> Any:
    return [] if value is None else value


def _only_valid(items: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a list of definitions; leave out the items that are not valid.

    One odd definition must not make all others unusable.
    """
    try:
        return validate(items)
    except ValidationError as error:
        if not isinstance(items, list):
            raise
        invalid = {
            line["loc"][0] for line in error.errors(include_url=False, include_input=False) if line["loc"]
        }
        logger.warning("definitions of HubSpot that cannot be read are left out: count=%s", len(invalid))
        return validate([item for index, item in enumerate(items) if index not in invalid])


def _texts(value: Any) -> Any:
    """Convert an error's context, whose values are lists or plain text, to lists of text."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): [str(item) for item in entry] if isinstance(entry, list) else [str(entry)]
        for key, entry in value.items()
    }


# On the last page, `paging` is absent, null or without `next`.
After = Annotated[str | None, Field(default=None, validation_alias=AliasPath("paging", "next", "after"))]


class FullList(WireModel, Generic[T]):
    """Response with all items, such as an object type's pipelines or property definitions."""

    results: Annotated[list[T], WrapValidator(_only_valid)]


def _to_utc(timestamp: datetime) -> datetime:
    try:
        return timestamp.astimezone(UTC)
    except OverflowError:
        raise ValueError("is not in a year from 1 to 9999 in UTC") from None


Timestamp = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class InlineTarget(WireModel):
    """Associated record in another record's response."""

    id: str


class InlineAssociations(WireModel):
    """First page, about a hundred, of the associations in a record's response.

    https://github.com/HubSpot/hubspot-api-python/issues/135
    """

    results: list[InlineTarget] = []
    after: After = None

    @property
    def ids(self) -> list[str]:
        """Target IDs without duplicates: HubSpot lists a target once per label."""
        return list(dict.fromkeys(target.id for target in self.results))


class CrmRecord(WireModel):
    """One contact, deal or ticket. Every value is text; its repr shows only the ID."""

    id: str
    properties: dict[str, str | None] = Field(repr=False)
    created_at: Timestamp | None = Field(default=None, repr=False)
    updated_at: Timestamp | None = Field(default=None, repr=False)
    archived: bool = False
    associations: dict[str, InlineAssociations] = Field(default_factory=dict, repr=False)

    def get(self, name: str) -> str | None:
        """Return a property's value; None for null, "" and absent, which all mean empty.

        https://github.com/HubSpot/hubspot-api-nodejs/issues/324
        """
        return self.properties.get(name) or None

    def associated(self, to_type: ObjectType) -> InlineAssociations:
        """Return the associations in this response; `after` is set if there are more."""
        return self.associations.get(to_type) or InlineAssociations()

    def with_associations(self, associations: Sequence["NewAssociation"]) -> "CrmRecord":
        """Return the record with these associations, for a new record."""
        inline = {
            to_type: InlineAssociations(
                results=[InlineTarget(id=to_id) for other, to_id in associations if other == to_type]
            )
            for to_type in {association.to_type for association in associations}
        }
        return self.model_copy(update={"associations": inline})


class Page(WireModel):
    """Page of a list."""

    results: list[CrmRecord]
    after: After = None
    """Start of the next page; None on the last page."""


class SearchPage(Page):
    """Page of a search. A short or empty page need not be the last one.

    https://github.com/airbytehq/airbyte/issues/80744
    """

    total: int


class BatchItemError(WireModel):
    """Error of some inputs of a batch."""

    category: str | None = None
    sub_category: Any = Field(default=None, repr=False)
    code: str | None = None
    message: str | None = Field(default=None, repr=False)
    context: Annotated[dict[str, list[str]], BeforeValidator(_texts)] = Field(default={}, repr=False)
    id: str | None = Field(default=None, repr=False)


class BatchResponse(WireModel, Generic[T]):
    """Response of a batch read; its status is 207 if there are errors."""

    results: list[T]
    errors: Annotated[list[BatchItemError], BeforeValidator(_null_to_empty_list)] = []

    @property
    def is_complete(self) -> bool:
        """Whether the errors only report missing records and associations, which the next response would too."""
        return all(error.category == "OBJECT_NOT_FOUND" for error in self.errors)


@dataclass(frozen=True, slots=True)
class BatchReadResult:
    """Records by the requested ID, and the IDs that could not be read."""

    records: dict[str, CrmRecord]
    failed: set[str]


class AssociationTarget(WireModel):
    """ID of the record at the other end of an association."""

    id: str = Field(validation_alias="toObjectId")


class AssociationsFrom(WireModel):
    """A page of the records that are associated with one record."""

    from_id: str = Field(validation_alias=AliasPath("from", "id"))
    to: list[AssociationTarget] = []
    after: After = None


@dataclass(frozen=True, slots=True)
class AssociationResult:
    """Target IDs by the requested ID (empty without associations), and the IDs whose targets are incomplete."""

    targets: dict[str, list[str]]
    failed: set[str]


class Stage(DefinitionModel):
    """Stage of a pipeline."""

    id: str
    label: str = ""
    display_order: int = 0
    metadata: dict[str, str | None] = {}
    archived: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether deals or tickets in this stage are closed. All metadata are text.

        https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
        """
        stated = (self.metadata.get("isClosed") or "").lower()
        return stated == "true" or (not stated and self.metadata.get("ticketState") == "CLOSED")


class Pipeline(DefinitionModel):
    """Pipeline of deals or tickets."""

    id: str
    label: str = ""
    display_order: int = 0
    stages: Annotated[list[Stage], WrapValidator(_only_valid)] = []
    archived: bool = False


class PropertyOption(DefinitionModel):
    """Allowed value of an enumeration property."""

    label: str = ""
    value: str
    display_order: int = -1
    """Negative values sort last."""
    hidden: bool = False
    description: str | None = None


class _ModificationMetadata(DefinitionModel):
    read_only_value: bool = False


class Property(DefinitionModel):
    """Definition of a property."""

    name: str
    label: str = ""
    type: str = "string"
    field_type: str = "text"
    group_name: str | None = None
    description: str | None = None
    options: Annotated[list[PropertyOption], WrapValidator(_only_valid)] = []
    calculated: bool = False
    hidden: bool = False
    has_unique_value: bool = False
    external_options: bool = False
    referenced_object_type: str | None = None
    show_currency_symbol: bool = False
    archived: bool = False
    modification_metadata: _ModificationMetadata | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether HubSpot rejects writes to this property."""
        metadata = self.modification_metadata
        return self.calculated or (metadata is not None and metadata.read_only_value)

    @property
    def is_owner(self) -> bool:
        """Whether the values are IDs of HubSpot's users, whom the definition does not list."""
        return self.external_options and self.referenced_object_type in (None, "OWNER")


class ObjectSchema(DefinitionModel):
    """Schema of an object type, without its definitions."""

    required_properties: list[str] = []
    """Names of the properties that a new record needs."""


class AccountDetails(WireModel):
    """HubSpot account (portal) of the credentials."""

    portal_id: str
    company_currency: str | None = None
    time_zone: str = "UTC"
    utc_offset_milliseconds: int = 0

    @property
    def zone(self) -> tzinfo:
        """The account's time zone, or its present offset from UTC if this machine does not know the zone."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return timezone(timedelta(milliseconds=self.utc_offset_milliseconds))


class NewAssociation(NamedTuple):
    """Association to create together with a new record."""

    to_type: ObjectType
    to_id: str

    def to_wire(self, from_type: ObjectType) -> dict[str, Any]:
        """Return HubSpot's JSON. The type ID is that of the direction from the new record to the target."""
        type_id = ASSOCIATION_TYPE_IDS[from_type, self.to_type]
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
        return {"to": {"id": self.to_id}, "types": types}


class UniqueValue(NamedTuple):
    """Unique property of the HubSpot account, and the value that identifies one record."""

    property: str
    value: str


def comma_list(names: Sequence[str]) -> str | None:
    """Join names for a query parameter; None if there are none."""
    return ",".join(names) or None
