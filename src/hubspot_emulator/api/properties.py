"""Property definitions and their groups.

https://developers.hubspot.com/docs/api-reference/crm-properties/guide
"""

import re
from collections.abc import Mapping
from typing import Any

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call, batch_inputs, optional_text, require_integer, require_text
from hubspot_emulator.wire.replies import (
    Refusal,
    Reply,
    batch_reply,
    invalid,
    missing_fields,
    not_found,
    wrong_enum,
    wrong_json,
)

MAX_UNIQUE_PROPERTIES = 10
_TYPES = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string")
# The order is that of HubSpot's error message.
_FIELD_TYPES = (
    "calculation_equation",
    "checkbox",
    "phonenumber",
    "number",
    "textarea",
    "booleancheckbox",
    "file",
    "text",
    "date",
    "html",
    "select",
    "radio",
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_REQUIRED_MEMBERS = ("groupName", "name", "label", "type", "fieldType")
_TEXT_MEMBERS = ("label", "type", "fieldType", "groupName", "description", "calculationFormula")


def list_all(account: Account, call: Call) -> Reply:
    archived, object_type = call.flag_parameter("archived"), call.object_type
    listed = [
        definition
        for definition in account.schema.definitions[object_type].values()
        if definition["archived"] == archived
    ]
    return Reply(200, {"results": [_render(account, object_type, definition) for definition in listed]})


def read(account: Account, call: Call) -> Reply:
    definition = _definition(
        account, call, call.path_parameters["name"], archived=call.flag_parameter("archived")
    )
    return Reply(200, _render(account, call.object_type, definition))


def create(account: Account, call: Call) -> Reply:
    body = call.json_object(*_REQUIRED_MEMBERS)
    definition = _create_property(account, call.object_type, body)
    return Reply(201, _render(account, call.object_type, definition))


def update(account: Account, call: Call) -> Reply:
    body = call.json_object()
    current = _definition(account, call, call.path_parameters["name"])
    changes: dict[str, Any] = {
        name: require_text(body, name) for name in _TEXT_MEMBERS if body.get(name) is not None
    }
    changes |= {name: body[name] is True for name in ("hidden", "formField") if body.get(name) is not None}
    if body.get("displayOrder") is not None:
        changes["displayOrder"] = require_integer(body, "displayOrder")
    if body.get("options") is not None:
        if current["modificationMetadata"].get("readOnlyOptions"):
            raise invalid(f"The options of {current['name']} cannot be changed")
        # HubSpot replaces the whole list.
        changes["options"] = _options(body["options"])
    _check_group(account, call.object_type, changes.get("groupName", current["groupName"]))
    _check_enums({**current, **changes})
    definition = current | changes | {"updatedAt": account.now()}
    account.schema.put_property(call.object_type, definition)
    return Reply(200, _render(account, call.object_type, definition))


def archive(account: Account, call: Call) -> Reply:
    _definition(account, call, call.path_parameters["name"])
    _archive_property(account, call, call.path_parameters["name"])
    return Reply(204)


def batch_read(account: Account, call: Call) -> Reply:
    body, inputs = batch_inputs(call, maximum=100)
    results, errors = [], []
    for item in inputs:
        name = require_text(item, "name")
        try:
            definition = _definition(account, call, name, archived=bool(body.get("archived")))
            results.append(_render(account, call.object_type, definition))
        except Refusal as refusal:
            errors.append(refusal.as_batch_error())
    return batch_reply(account.now(), results, errors)


def batch_create(account: Account, call: Call) -> Reply:
    _, inputs = batch_inputs(call, maximum=100)
    results, errors = [], []
    for item in inputs:
        try:
            if missing := [name for name in _REQUIRED_MEMBERS if item.get(name) is None]:
                raise missing_fields(missing)
            results.append(
                _render(account, call.object_type, _create_property(account, call.object_type, item))
            )
        except Refusal as refusal:
            errors.append(refusal.as_batch_error())
    return batch_reply(account.now(), results, errors, status=201)


def batch_archive(account: Account, call: Call) -> Reply:
    _, inputs = batch_inputs(call, maximum=100)
    for name in [require_text(item, "name") for item in inputs]:
        _archive_property(account, call, name)
    return Reply(204)


def list_groups(account: Account, call: Call) -> Reply:
    groups = account.schema.groups[call.object_type].values()
    return Reply(200, {"results": [group for group in groups if not group["archived"]]})


def read_group(account: Account, call: Call) -> Reply:
    return Reply(200, _group(account, call))


def create_group(account: Account, call: Call) -> Reply:
    body = call.json_object("name", "label")
    name = require_text(body, "name").lower()
    existing = account.schema.groups[call.object_type].get(name)
    if existing is not None and not existing["archived"]:
        raise Refusal(409, f"A property group named {name} already exists", category="OBJECT_ALREADY_EXISTS")
    group = {
        "name": name,
        "label": require_text(body, "label"),
        "displayOrder": _display_order(body, -1),
        "archived": False,
    }
    account.schema.put_group(call.object_type, group)
    return Reply(201, group)


def update_group(account: Account, call: Call) -> Reply:
    body = call.json_object()
    changes: dict[str, Any] = {"label": require_text(body, "label")} if body.get("label") is not None else {}
    if body.get("displayOrder") is not None:
        changes["displayOrder"] = require_integer(body, "displayOrder")
    group = _group(account, call) | changes
    account.schema.put_group(call.object_type, group)
    return Reply(200, group)


def archive_group(account: Account, call: Call) -> Reply:
    group = _group(account, call)
    definitions = account.schema.definitions[call.object_type].values()
    if any(row["groupName"] == group["name"] and not row["archived"] for row in definitions):
        inner = Refusal(
            400,
            "Can't delete or purge a group with active properties",
            category="VALIDATION_ERROR",
            sub_category="PropertyGroupError.GROUP_WITH_ACTIVE_PROPERTIES",
        ).reply()
        # HubSpot puts the error as JSON into the message of another one.
        # https://github.com/scopiousdigital/kalup
        correlation_id = {"correlationId": inner.body["correlationId"]}
        raise Refusal(400, inner.content().decode(), extra=correlation_id)
    account.schema.put_group(call.object_type, group | {"archived": True})
    return Reply(204)


def _create_property(account: Account, object_type: str, body: Mapping[str, Any]) -> dict[str, Any]:
    # HubSpot silently converts names to lower case.
    name = require_text(body, "name").lower()
    if not _NAME.fullmatch(name):
        raise invalid(f"Property name {name} is invalid", propertyName=[name])
    existing = account.schema.definitions[object_type].get(name)
    if existing is not None and not existing["archived"]:
        raise Refusal(
            409,
            f"A property named '{name}' already exists.",
            category="OBJECT_ALREADY_EXISTS",
            sub_category="Properties.PROPERTY_WITH_NAME_EXISTS",
        )
    is_unique = body.get("hasUniqueValue") is True
    if is_unique and len(account.schema.unique_properties(object_type)) >= MAX_UNIQUE_PROPERTIES:
        raise invalid(f"An object type may have {MAX_UNIQUE_PROPERTIES} unique properties")
    _check_group(account, object_type, require_text(body, "groupName"))
    now = account.now()
    definition = {
        "updatedAt": now,
        "createdAt": now,
        "name": name,
        "label": require_text(body, "label"),
        "type": require_text(body, "type"),
        "fieldType": require_text(body, "fieldType"),
        "description": optional_text(body, "description") or "",
        "groupName": require_text(body, "groupName"),
        "options": _options(body.get("options") or []),
        "displayOrder": _display_order(body, -1),
        "calculated": False,
        "externalOptions": body.get("externalOptions") is True,
        "archived": False,
        "hasUniqueValue": is_unique,
        "hidden": body.get("hidden") is True,
        "hubspotDefined": False,
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": False,
            "readOnlyOptions": False,
            "readOnlyValue": False,
        },
        "formField": body.get("formField") is True,
        "dataSensitivity": optional_text(body, "dataSensitivity") or "non_sensitive",
    }
    _check_enums(definition)
    account.schema.put_property(object_type, definition)
    if is_unique:
        account.store.add_unique_index(object_type, name)
        account.index.index_property(object_type, name)
    return definition


def _check_enums(definition: Mapping[str, Any]) -> None:
    for name, allowed in (("type", _TYPES), ("fieldType", _FIELD_TYPES)):
        if definition[name] not in allowed:
            raise wrong_enum(allowed)
    if definition["type"] == "bool":
        values = {str(option["value"]) for option in definition["options"]}
        if values != {"true", "false"}:
            raise Refusal(
                400,
                "Boolean properties must have exactly two options, true and false",
                category="VALIDATION_ERROR",
                sub_category="PropertyValidationError.INVALID_BOOLEAN_OPTION",
            )


def _check_group(account: Account, object_type: str, name: str) -> None:
    group = account.schema.groups[object_type].get(name)
    if group is None or group["archived"]:
        raise invalid(f"Property group {name} does not exist", groupName=[name])


def _options(raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise wrong_json("value of type `java.util.ArrayList<OptionInput>`")
    options = []
    for position, item in enumerate(raw):
        option = {
            "label": require_text(item, "label"),
            "value": require_text(item, "value"),
            "displayOrder": _display_order(item, position),
            "hidden": item.get("hidden") is True,
        }
        options.append(
            option | ({"description": require_text(item, "description")} if item.get("description") else {})
        )
    values = [item["value"] for item in options]
    if len(set(values)) < len(values):
        raise invalid("Property option values must be unique")
    return options


def _display_order(body: Mapping[str, Any], default: int) -> int:
    return default if body.get("displayOrder") is None else require_integer(body, "displayOrder")


def _archive_property(account: Account, call: Call, name: str) -> None:
    object_type = call.object_type
    definition = account.schema.definitions[object_type].get(name)
    if definition is None or definition["archived"]:
        return
    if definition["hubspotDefined"]:
        raise invalid(f"{name} is a property of HubSpot and cannot be archived", propertyName=[name])
    archived = definition | {"archived": True, "archivedAt": account.now()}
    account.schema.put_property(object_type, archived)
    account.store.drop_unique_index(object_type, name)


def _definition(account: Account, call: Call, name: str, *, archived: bool = False) -> dict[str, Any]:
    definition = account.schema.definitions[call.object_type].get(name)
    if definition is None or definition["archived"] != archived:
        raise not_found(f'Property "{name}" does not exist')
    return definition


def _group(account: Account, call: Call) -> dict[str, Any]:
    group = account.schema.groups[call.object_type].get(call.path_parameters["group"])
    if group is None or group["archived"]:
        raise not_found(f"Property group {call.path_parameters['group']} does not exist")
    return group


def _render(account: Account, object_type: str, definition: dict[str, Any]) -> dict[str, Any]:
    if definition["type"] != "enumeration":
        return definition
    return definition | {"options": account.schema.options(object_type, definition["name"])}
