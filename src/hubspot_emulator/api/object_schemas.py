"""Schemas of the object types.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/schemas/get-schema
"""

from hubspot_emulator.rules import writes
from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call
from hubspot_emulator.wire.names import SINGULAR, TYPE_IDS
from hubspot_emulator.wire.replies import Reply

_PRIMARY_PROPERTIES = {"contacts": "email", "deals": "dealname", "tickets": "subject"}


def read(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    singular = SINGULAR[object_type]
    return Reply(
        200,
        {
            "id": TYPE_IDS[object_type],
            "objectTypeId": TYPE_IDS[object_type],
            "name": singular.upper(),
            "fullyQualifiedName": singular.upper(),
            "labels": {"singular": singular.capitalize(), "plural": object_type.capitalize()},
            "archived": False,
            "allowsSensitiveProperties": False,
            "primaryDisplayProperty": _PRIMARY_PROPERTIES[object_type],
            "secondaryDisplayProperties": [],
            "searchableProperties": [_PRIMARY_PROPERTIES[object_type]],
            "requiredProperties": writes.required_on_create(account, object_type),
            "properties": [],
            "associations": [],
        },
    )
