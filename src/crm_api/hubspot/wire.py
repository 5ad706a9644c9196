"""HubSpot's JSON as Pydantic models, validated once and straight from the bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from crm_api.hubspot.names import ASSOCIATION_TYPE_IDS, ObjectType


class WireModel(BaseModel):
    """Frozen, camelCase outside, numbers where text is promised become text.

    https://github.com/HubSpot/hubspot-api-nodejs/issues/480: ids and `after` come as either.
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        coerce_numbers_to_str=True,
        extra="ignore",
    )


class NoContent(WireModel):
    """Response whose body is empty or not needed."""


def _none_is_empty_list(value: Any) -> Any:
    return [] if value is None else value


def _none_is_last(value: Any) -> Any:
    return -1 if value is None else value


def _texts(value: Any) -> Any:
    """Contexts hold lists of text in errors and plain text in warnings."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): [str(each) for each in (of if isinstance(of, list) else [of])] for key, of in value.items()
    }


# An absent page is the last one; `paging` itself is then absent, null or without `next`.
After = Annotated[str | None, Field(default=None, validation_alias=AliasPath("paging", "next", "after"))]


class InlineTarget(WireModel):
    """A record that another one was read with."""

    id: str


class InlineAssociations(WireModel):
    """The first page, about a hundred, of the associations that came with a record.

    https://github.com/HubSpot/hubspot-api-python/issues/135
    """

    results: list[InlineTarget] = []
    after: After = None

    @property
    def ids(self) -> list[str]:
        """Each target once: with labels in use HubSpot lists one several times."""
        return list(dict.fromkeys(target.id for target in self.results))


class CrmRecord(WireModel):
    """One contact, deal or ticket. Every value is text; its repr shows the id alone."""

    id: str
    properties: dict[str, str | None] = Field(repr=False)
    created_at: datetime = Field(repr=False)
    updated_at: datetime = Field(repr=False)
    archived: bool = False
    associations: dict[str, InlineAssociations] = Field(default={}, repr=False)

    def get(self, name: str) -> str | None:
        """A property's value; None for null, "" and absent, which all mean empty.

        https://github.com/HubSpot/hubspot-api-nodejs/issues/324
        """
        return self.properties.get(name) or None

    def associated(self, to_type: ObjectType) -> InlineAssociations:
        """What it was read with; `after` is set where there is more."""
        return self.associations.get(to_type) or InlineAssociations()


class Page(WireModel):
    """One page of a list."""

    results: list[CrmRecord]
    after: After = None
    """Where the next page begins; None on the last."""


class SearchPage(Page):
    """One page of a search, which may be shorter than asked for or empty and still not the last.

    https://github.com/airbytehq/airbyte/issues/80744
    """

    total: int


class BatchItemError(WireModel):
    """Why some inputs of a batch came to nothing."""

    category: str | None = None
    sub_category: Any = Field(default=None, repr=False)
    code: str | None = None
    message: str | None = Field(default=None, repr=False)
    context: Annotated[dict[str, list[str]], BeforeValidator(_texts)] = Field(default={}, repr=False)
    id: str | None = Field(default=None, repr=False)


_Errors = Annotated[list[BatchItemError], BeforeValidator(_none_is_empty_list)]


class BatchAnswer(WireModel):
    """What a batch of records answers, 207 included."""

    results: list[CrmRecord]
    errors: _Errors = []


@dataclass(frozen=True, slots=True)
class BatchReadResult:
    """Records by the requested ID, and the IDs that could not be read."""

    records: dict[str, CrmRecord]
    failed: set[str]


class AssociationTarget(WireModel):
    """A record at the other end, once for all its labels."""

    id: str = Field(validation_alias="toObjectId")


class _AssociationsFrom(WireModel):
    from_id: str = Field(validation_alias=AliasPath("from", "id"))
    to: list[AssociationTarget] = []
    after: After = None


class AssociationBatchAnswer(WireModel):
    """What an association batch read answers; 207 is its ordinary status."""

    results: list[_AssociationsFrom]
    errors: _Errors = []


@dataclass(frozen=True, slots=True)
class AssociationResult:
    """Target ids for every id asked for (empty where unlinked), and the ids whose targets are not all known."""

    targets: dict[str, list[str]]
    failed: set[str]


class Stage(WireModel):
    """One step of a pipeline."""

    id: str
    label: str
    display_order: int = 0
    metadata: dict[str, str | None] = {}
    archived: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether the deal or ticket is done here. All metadata are text.

        https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide
        """
        stated = (self.metadata.get("isClosed") or "").lower()
        return stated == "true" or (not stated and self.metadata.get("ticketState") == "CLOSED")


class Pipeline(WireModel):
    """A process that deals or tickets go through."""

    id: str
    label: str
    display_order: int = 0
    stages: list[Stage]
    archived: bool = False


class Pipelines(WireModel):
    """All pipelines of a type."""

    results: list[Pipeline]


class PropertyOption(WireModel):
    """A value that an enumeration takes."""

    label: str
    value: str
    display_order: Annotated[int, BeforeValidator(_none_is_last)] = -1
    """Negative: behind those that are numbered."""
    hidden: bool = False
    description: str | None = None


class _ModificationMetadata(WireModel):
    read_only_value: bool = False


class Property(WireModel):
    """The definition of a property."""

    name: str
    label: str
    type: str
    field_type: str
    group_name: str | None = None
    description: str | None = None
    options: Annotated[list[PropertyOption], BeforeValidator(_none_is_empty_list)] = []
    calculated: bool = False
    hidden: bool = False
    has_unique_value: bool = False
    archived: bool = False
    modification_metadata: _ModificationMetadata | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether HubSpot refuses values for it."""
        metadata = self.modification_metadata
        return self.calculated or (metadata is not None and metadata.read_only_value)


class Properties(WireModel):
    """All property definitions of a type."""

    results: list[Property]


class AccountDetails(WireModel):
    """The account (portal) that the credentials belong to."""

    portal_id: str


class NewAssociation(NamedTuple):
    """A link to make together with a new record."""

    to_type: ObjectType
    to_id: str

    def to_wire(self, from_type: ObjectType) -> dict[str, Any]:
        """As HubSpot takes it: the type id is that of the direction "record being written -> target"."""
        return {"to": {"id": self.to_id}, "types": [association_type(from_type, self.to_type)]}


def association_type(from_type: ObjectType, to_type: ObjectType) -> dict[str, Any]:
    """HubSpot's own, unlabelled kind of association between two types."""
    type_id = ASSOCIATION_TYPE_IDS[from_type, to_type]
    return {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}


class UniqueValue(NamedTuple):
    """A property that is unique in the account, and the value that a record is found by."""

    property: str
    value: str


def comma_list(names: Sequence[str]) -> str | None:
    """Names as one query parameter, or none."""
    return ",".join(names) or None
