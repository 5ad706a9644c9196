"""Form fields of properties, as the HubSpot account shows them.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from collections.abc import Mapping
from typing import Final

from crm_api.hubspot import Property
from crm_api.schemas.properties import FieldType
from crm_api.services.properties.fields import Field, ValueType

_DEFAULTS: Final[Mapping[ValueType, FieldType]] = {
    "text": "text",
    "number": "number",
    "datetime": "date",
    "date": "date",
    "choice": "select",
    "choices": "checkboxes",
    "bool": "checkbox",
}
# HubSpot's field types that differ from the default of their value type.
_FIELD_TYPES: Final[Mapping[tuple[ValueType, str], FieldType]] = {
    ("text", "textarea"): "textarea",
    ("text", "html"): "rich_text",
    ("text", "phonenumber"): "phone",
    ("text", "file"): "file",
    ("choice", "radio"): "radio",
    ("bool", "radio"): "radio",
    ("bool", "select"): "select",
}


def form_field(field: Field, value_type: ValueType, definition: Property | None) -> FieldType:
    """Return the form field of a property; `definition` is None if the HubSpot account's schema cannot be read."""
    if definition is not None and definition.is_owner:
        return "owner"
    if field.name == "amount" or (
        value_type == "number" and definition is not None and definition.show_currency_symbol
    ):
        return "currency"
    if definition is not None and definition.type == "phone_number":
        return "phone"
    name = definition.field_type if definition is not None else ""
    return _FIELD_TYPES.get((value_type, name), _DEFAULTS[value_type])
