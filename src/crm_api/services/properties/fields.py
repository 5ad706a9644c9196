"""Fields of each object type: which HubSpot property they are, and which roles may read, write and filter them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import Final, Literal

from crm_api.hubspot import Property
from crm_api.hubspot.names import ObjectType

ValueType = Literal["text", "number", "datetime", "date", "choice", "choices", "bool"]
"""Type of a field's values; `choices` is several options joined by `;`."""

OBJECT_TYPES: Final[tuple[ObjectType, ...]] = ("contacts", "deals", "tickets")
_ALL: Final = frozenset({"customer", "staff"})
_STAFF: Final = frozenset({"staff"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the contract and its HubSpot property."""

    name: str
    wire_name: str
    """Name of the HubSpot property."""
    value_type: ValueType
    label: str
    """Used if the HubSpot account's label cannot be read."""
    writers: frozenset[str] = frozenset()
    """Roles that may change the field."""
    required: bool = False
    """Whether `null` is rejected."""
    filterable: bool = True
    searched: bool = False
    """Whether text searches include the field."""
    nested: bool = False
    """Whether the operator's settings added the field; it is under `properties` in requests and responses."""
    words: Mapping[str, str] = dataclass_field(default_factory=dict, compare=False)
    """The API's words for options, with the option of each."""

    @property
    def path(self) -> str:
        """The field's name in error details."""
        return f"properties.{self.name}" if self.nested else self.name


CURRENCY_PROPERTY: Final = "deal_currency_code"
_CONTACTS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("email", "email", "text", "Email", _STAFF, required=True, searched=True),
    Field("firstname", "firstname", "text", "First name", _ALL, searched=True),
    Field("lastname", "lastname", "text", "Last name", _ALL, searched=True),
    Field("phone", "phone", "text", "Phone number", _ALL, searched=True),
    Field("lifecyclestage", "lifecyclestage", "choice", "Lifecycle stage", _STAFF),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("lastmodifieddate", "lastmodifieddate", "datetime", "Last modified date"),
)
_DEALS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("dealname", "dealname", "text", "Deal name", _ALL, required=True, searched=True),
    Field("dealstage", "dealstage", "choice", "Deal stage", _ALL, required=True),
    Field("pipeline", "pipeline", "choice", "Pipeline", _ALL, required=True),
    Field("amount", "amount", "number", "Amount", _ALL),
    # Not filterable: a deal without a value has the HubSpot account's currency.
    Field("currency", CURRENCY_PROPERTY, "choice", "Currency", filterable=False),
    Field("closedate", "closedate", "datetime", "Close date", _ALL),
    Field("description", "description", "text", "Deal description", _ALL, searched=True),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("hs_lastmodifieddate", "hs_lastmodifieddate", "datetime", "Last modified date"),
)
_TICKETS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("subject", "subject", "text", "Ticket name", _ALL, required=True, searched=True),
    Field("description", "content", "text", "Ticket description", _ALL, required=True, searched=True),
    Field("category", "hs_ticket_category", "choices", "Category", _ALL),
    Field("pipeline", "hs_pipeline", "choice", "Pipeline", _ALL, required=True),
    Field("hs_pipeline_stage", "hs_pipeline_stage", "choice", "Ticket status", _ALL, required=True),
    Field("hs_ticket_priority", "hs_ticket_priority", "choice", "Priority", _ALL),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("hs_lastmodifieddate", "hs_lastmodifieddate", "datetime", "Last modified date"),
)
_BUILT_IN: Final[Mapping[ObjectType, tuple[Field, ...]]] = {
    "contacts": _CONTACTS,
    "deals": _DEALS,
    "tickets": _TICKETS,
}
REQUEST_ID_PROPERTY: Final = "crm_api_request_id"
PROPERTY_TYPES: Final[Mapping[ValueType, str]] = {
    "text": "string",
    "number": "number",
    "datetime": "datetime",
    "date": "date",
    "bool": "bool",
    "choice": "enumeration",
    "choices": "enumeration",
}
"""HubSpot's name of each value type."""
_VALUE_TYPES: Final = {
    name: value_type for value_type, name in PROPERTY_TYPES.items() if name != "enumeration"
}
STAGE_FIELDS: Final[Mapping[ObjectType, str]] = {"deals": "dealstage", "tickets": "hs_pipeline_stage"}


@dataclass(frozen=True)
class ObjectFields:
    """All fields of one object type. Other properties cannot be read, written or filtered."""

    object_type: ObjectType
    fields: tuple[Field, ...]

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """The properties to request from HubSpot, which always adds the ID."""
        return tuple(field.wire_name for field in self.fields if field.wire_name != "hs_object_id")

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by their name in the contract, nested ones included."""
        return {field.name: field for field in self.fields}

    @cached_property
    def by_property(self) -> dict[str, Field]:
        """Fields by the name of their HubSpot property."""
        return {field.wire_name: field for field in self.fields}

    @cached_property
    def nested(self) -> tuple[Field, ...]:
        """The fields that the operator's settings added; requests and responses have them under `properties`."""
        return tuple(field for field in self.fields if field.nested)

    @cached_property
    def searched(self) -> tuple[str, ...]:
        """The properties that text searches include."""
        return tuple(field.wire_name for field in self.fields if field.searched)

    def writable(self, role: str) -> frozenset[str]:
        """Return the fields that the role may change, by their names in error details."""
        return frozenset(field.path for field in self.fields if role in field.writers)

    @cached_property
    def paths(self) -> dict[str, str]:
        """Names in error details, by the name of the HubSpot property."""
        return {field.wire_name: field.path for field in self.fields}


class RecordFields:
    """The fields of all object types, and the ticket categories (contract's name to HubSpot's value)."""

    def __init__(
        self, categories: Mapping[str, str], added: Mapping[str, Mapping[str, Sequence[str]]] | None = None
    ) -> None:
        self.categories = dict(categories)
        self._tables = {
            object_type: _table(object_type, (added or {}).get(object_type, {}), self.categories)
            for object_type in OBJECT_TYPES
        }

    def __getitem__(self, object_type: ObjectType) -> ObjectFields:
        return self._tables[object_type]


def _table(
    object_type: ObjectType, added: Mapping[str, Sequence[str]], categories: Mapping[str, str]
) -> ObjectFields:
    base = [
        replace(field, words=categories) if field.name == "category" else field
        for field in _BUILT_IN[object_type]
    ]
    known = {field.wire_name for field in base} | {field.name for field in base}
    nested = [
        Field(
            name,
            name,
            "text",
            name.replace("_", " ").capitalize(),
            frozenset(role for role in ("customer", "staff") if name in added.get(f"writable_by_{role}", ())),
            filterable=name in added.get("filterable", ()),
            nested=True,
        )
        for name in dict.fromkeys(added.get("readable", ()))
        if name not in known
    ]
    return ObjectFields(object_type, (*base, *nested))


def value_type_of(definition: Property) -> ValueType:
    """Return the type of a property's values.

    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
    """
    if definition.type == "enumeration":
        return "choices" if definition.field_type == "checkbox" else "choice"
    return _VALUE_TYPES.get(definition.type, "text")


def with_value_type(field: Field, schema: Mapping[str, Property]) -> Field:
    """Return the field; a nested one gets its value type from the HubSpot account's property definition."""
    definition = schema.get(field.wire_name)
    if definition is None or not field.nested:
        return field
    return replace(field, value_type=value_type_of(definition))
