"""Which properties of a record are read, written and filtered by whom: one table for each object type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

from crm_api.hubspot import Property
from crm_api.hubspot.names import ObjectType

ValueType = Literal["text", "number", "datetime", "date", "choice", "choices", "bool"]
"""What a value is; `choices` is several options joined by `;`."""

OBJECT_TYPES: Final[tuple[ObjectType, ...]] = ("contacts", "deals", "tickets")
_EVERYBODY: Final = frozenset({"customer", "staff"})
_STAFF: Final = frozenset({"staff"})
_NOBODY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of our contract and the HubSpot property that it is."""

    name: str
    """In our contract."""
    wire_name: str
    """HubSpot's."""
    value_type: ValueType
    label: str
    """Where the account's own cannot be read."""
    writers: frozenset[str] = _NOBODY
    """The roles that may change it."""
    required: bool = False
    """Never empty: `null` is refused."""
    filterable: bool = True
    queried: bool = False
    """Whether a text search looks at it."""
    nested: bool = False
    """Added by the operator's settings: it travels under `properties`."""

    @property
    def path(self) -> str:
        """Its name in error details."""
        return f"properties.{self.name}" if self.nested else self.name


_CONTACTS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("email", "email", "text", "Email", _STAFF, required=True, queried=True),
    Field("firstname", "firstname", "text", "First name", _EVERYBODY, queried=True),
    Field("lastname", "lastname", "text", "Last name", _EVERYBODY, queried=True),
    Field("phone", "phone", "text", "Phone number", _EVERYBODY, queried=True),
    Field("lifecyclestage", "lifecyclestage", "choice", "Lifecycle stage", _STAFF),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("lastmodifieddate", "lastmodifieddate", "datetime", "Last modified date"),
)
_DEALS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("dealname", "dealname", "text", "Deal name", _EVERYBODY, required=True, queried=True),
    Field("dealstage", "dealstage", "choice", "Deal stage", _EVERYBODY, required=True),
    Field("pipeline", "pipeline", "choice", "Pipeline", _EVERYBODY, required=True),
    Field("amount", "amount", "number", "Amount", _EVERYBODY),
    Field("closedate", "closedate", "datetime", "Close date", _EVERYBODY),
    Field("description", "description", "text", "Deal description", _EVERYBODY, queried=True),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("hs_lastmodifieddate", "hs_lastmodifieddate", "datetime", "Last modified date"),
)
_TICKETS: Final = (
    Field("hs_object_id", "hs_object_id", "number", "Record ID"),
    Field("subject", "subject", "text", "Ticket name", _EVERYBODY, required=True, queried=True),
    Field("description", "content", "text", "Ticket description", _EVERYBODY, required=True, queried=True),
    Field("category", "hs_ticket_category", "choices", "Category", _EVERYBODY),
    Field("pipeline", "hs_pipeline", "choice", "Pipeline", _EVERYBODY, required=True),
    Field("hs_pipeline_stage", "hs_pipeline_stage", "choice", "Ticket status", _EVERYBODY, required=True),
    Field("hs_ticket_priority", "hs_ticket_priority", "choice", "Priority", _EVERYBODY),
    Field("createdate", "createdate", "datetime", "Create date"),
    Field("hs_lastmodifieddate", "hs_lastmodifieddate", "datetime", "Last modified date"),
)
_BASE: Final[Mapping[ObjectType, tuple[Field, ...]]] = {
    "contacts": _CONTACTS,
    "deals": _DEALS,
    "tickets": _TICKETS,
}
STAGE_FIELDS: Final[Mapping[ObjectType, str]] = {"deals": "dealstage", "tickets": "hs_pipeline_stage"}


@dataclass(frozen=True)
class ObjectFields:
    """The table of one object type; nothing outside it is read, written or filtered by anybody."""

    object_type: ObjectType
    fields: tuple[Field, ...]

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """What HubSpot is asked for; it adds the id by itself."""
        return tuple(field.wire_name for field in self.fields if field.wire_name != "hs_object_id")

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by our name, those under `properties` too."""
        return {field.name: field for field in self.fields}

    @cached_property
    def by_property(self) -> dict[str, Field]:
        """Fields by HubSpot's name."""
        return {field.wire_name: field for field in self.fields}

    @cached_property
    def nested(self) -> tuple[Field, ...]:
        """What the operator added."""
        return tuple(field for field in self.fields if field.nested)

    @cached_property
    def queried(self) -> tuple[str, ...]:
        """The properties that a text search looks at."""
        return tuple(field.wire_name for field in self.fields if field.queried)

    def writable(self, role: str) -> frozenset[str]:
        """What the role may change, by its names in error details."""
        return frozenset(field.path for field in self.fields if role in field.writers)

    @cached_property
    def paths(self) -> dict[str, str]:
        """HubSpot's name to the one in our error details."""
        return {field.wire_name: field.path for field in self.fields}


class RecordFields:
    """The tables of an application, and how it names ticket categories."""

    def __init__(
        self,
        categories: Mapping[str, str],
        added: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        self.categories = dict(categories)
        """Ours to HubSpot's."""
        self._tables = {each: _table(each, (added or {}).get(each, {})) for each in OBJECT_TYPES}

    def __getitem__(self, object_type: ObjectType) -> ObjectFields:
        return self._tables[object_type]


def _table(object_type: ObjectType, added: Mapping[str, Sequence[str]]) -> ObjectFields:
    base = _BASE[object_type]
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
    """What the values of a property are. https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide"""
    if definition.type == "enumeration":
        return "choices" if definition.field_type == "checkbox" else "choice"
    kinds: dict[str, ValueType] = {"number": "number", "datetime": "datetime", "date": "date", "bool": "bool"}
    return kinds.get(definition.type, "text")


def with_value_type(field: Field, schema: Mapping[str, Property]) -> Field:
    """The field with the kind that the account's schema gives it; only the operator's are ours to look up."""
    definition = schema.get(field.wire_name)
    return (
        replace(field, value_type=value_type_of(definition))
        if field.nested and definition is not None
        else field
    )


REQUEST_ID_PROPERTY: Final = "crm_api_request_id"


PROPERTY_TYPES: Final = {
    "text": "string",
    "number": "number",
    "datetime": "datetime",
    "date": "date",
    "bool": "bool",
    "choice": "enumeration",
    "choices": "enumeration",
}
