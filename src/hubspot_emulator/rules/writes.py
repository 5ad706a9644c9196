"""Writes of records and associations.

`check_*` only validate, so that a batch can be refused as a whole. `create`, `update`, `archive`, `link` and `unlink`
change the account.
"""

from collections.abc import Mapping
from typing import Any

from hubspot_emulator.rules import calculated
from hubspot_emulator.rules.values import BadValueError, check_rules, to_stored_value
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import AssociationType, Record, RecordKey
from hubspot_emulator.wire.names import (
    LAST_MODIFIED,
    OBJECT_TYPES,
    PIPELINE_PROPERTIES,
    SINGULAR,
    ApiVersion,
)
from hubspot_emulator.wire.replies import Refusal, invalid, invalid_properties

Link = tuple[str, str, AssociationType, AssociationType]
"""(to type, to ID, association type, inverse association type)"""

# HubSpot requires these on create. The documentation names `dealstage`, too, but a deal without it was recorded.
# https://github.com/NangoHQ/integration-templates (mocks of create-deal)
_REQUIRED = {"deals": ("dealname",), "tickets": ("subject", "hs_pipeline_stage")}
_IDENTIFYING_PROPERTIES = ("email", "firstname", "lastname")


def required_on_create(account: Account, object_type: str) -> list[str]:
    """Return the properties that a new record needs: HubSpot's own, and those of the administrator."""
    names = (*_REQUIRED.get(object_type, ()), *account.switches.required_properties.get(object_type, ()))
    return list(dict.fromkeys(names))


def check_create(
    account: Account, object_type: str, raw: Mapping[str, Any], version: ApiVersion
) -> dict[str, str]:
    """Return the values to store for a new record. Raises Refusal if one is invalid or missing."""
    if object_type in PIPELINE_PROPERTIES:
        pipeline_name, stage_name = PIPELINE_PROPERTIES[object_type]
        if raw.get(stage_name) and not raw.get(pipeline_name):
            raw = {**raw, pipeline_name: account.schema.default_pipeline_id(object_type)}
    values = {
        name: value for name, value in _checked_values(account, object_type, raw, None).items() if value
    }
    missing = [name for name in _REQUIRED.get(object_type, ()) if not values.get(name)]
    if missing:
        raise invalid(
            f"Error creating {SINGULAR[object_type].upper()}. Some required properties were not set.",
            properties=missing,
        )
    if object_type == "contacts" and not any(values.get(name) for name in _IDENTIFYING_PROPERTIES):
        raise invalid(
            "Error creating CONTACT. Some required properties were not set.",
            properties=list(_IDENTIFYING_PROPERTIES),
        )
    if version.enforces_required_properties:
        _check_required_by_admin(account, object_type, values, values, is_create=True)
    _check_stage(account, object_type, values, {})
    _check_unique(account, object_type, values, None)
    return values


def check_update(
    account: Account, record: Record, raw: Mapping[str, Any], version: ApiVersion
) -> dict[str, str]:
    """Return the values to change. Raises Refusal if one is invalid."""
    object_type = record.object_type
    values = _checked_values(account, object_type, raw, record)
    if version.enforces_required_properties:
        _check_required_by_admin(
            account, object_type, values, {**record.properties, **values}, is_create=False
        )
    _check_stage(account, object_type, values, record.properties)
    _check_unique(account, object_type, values, record)
    if object_type == "contacts":
        _drop_earlier_lifecycle_stage(account, record, values)
    return values


def create(account: Account, object_type: str, values: dict[str, str], links: list[Link]) -> Record:
    now = account.now()
    properties = values | calculated.values_on_create(object_type, values, now)
    properties |= calculated.values_on_write(account.schema, object_type, {}, properties, now)
    record = account.store.add(object_type, properties, now)
    for to_type, to_id, forward, inverse in links:
        link(account, (object_type, record.id), (to_type, to_id), forward, inverse)
    return record


def update(account: Account, record: Record, values: Mapping[str, str]) -> dict[str, str]:
    """Change a record and return all changed values, calculated ones included."""
    now = account.now()
    changes = dict(values)
    changes |= calculated.values_on_write(account.schema, record.object_type, record.properties, changes, now)
    changes[LAST_MODIFIED[record.object_type]] = now
    account.store.change(record, changes, now)
    return changes


def archive(account: Account, object_type: str, record_id: str) -> None:
    record = account.store.get(object_type, record_id)
    if record is not None and not record.archived:
        account.store.archive(record, account.now())
        for to_type in OBJECT_TYPES:
            for to_id in account.store.links(object_type, record.id, to_type):
                _update_rollup(account, to_type, to_id, object_type)


def link(
    account: Account, source: RecordKey, target: RecordKey, forward: AssociationType, inverse: AssociationType
) -> None:
    account.store.link(source, target, forward, inverse)
    # HubSpot adds the default association type to every labelled one.
    # https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
    default = account.labels.default(source[0], target[0])
    if forward != default:
        account.store.link(source, target, default, account.labels.default(target[0], source[0]))
    _update_rollup(account, *source, target[0])
    _update_rollup(account, *target, source[0])


def unlink(
    account: Account,
    source: RecordKey,
    target: RecordKey,
    *,
    forward: AssociationType | None = None,
    inverse: AssociationType | None = None,
) -> None:
    """Remove the association of one type, or of all types if none is given."""
    account.store.unlink(source, target, forward=forward, inverse=inverse)
    _update_rollup(account, *source, target[0])
    _update_rollup(account, *target, source[0])


def _update_rollup(account: Account, object_type: str, record_id: str, to_type: str) -> None:
    name = {
        ("deals", "contacts"): "num_associated_contacts",
        ("contacts", "deals"): "num_associated_deals",
    }.get((object_type, to_type))
    record = account.store.records[object_type].get(record_id)
    if name and record is not None:
        count = str(len(account.store.links(object_type, record_id, to_type)))
        if record.properties.get(name) != count:
            account.store.set_rollup(record, name, count)


def _checked_values(
    account: Account, object_type: str, raw: Mapping[str, Any], record: Record | None
) -> dict[str, str]:
    values: dict[str, str] = {}
    problems: list[tuple[str, str, str]] = []
    schema = account.schema
    for name, value in raw.items():
        definition = schema.live_definition(object_type, name)
        if definition is None:
            problems.append((name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
        elif definition["modificationMetadata"]["readOnlyValue"]:
            problems.append(
                (name, "READ_ONLY_VALUE", f'"{name}" is a calculated property; its value cannot be set.')
            )
        elif value is not None:  # a null is ignored: https://github.com/HubSpot/hubspot-api-nodejs/issues/324
            options = schema.option_labels(object_type, name) if definition["type"] == "enumeration" else {}
            current = record.properties.get(name) if record else None
            try:
                values[name] = to_stored_value(definition, value, options=options, current=current)
                check_rules(
                    values[name], account.switches.validation_rules.get(object_type, {}).get(name, {})
                )
            except BadValueError as error:
                problems.append((name, error.code, error.message))
    if problems:
        raise invalid_properties(problems, account.portal_id)
    return values


def _check_stage(
    account: Account, object_type: str, values: Mapping[str, str], current: Mapping[str, str]
) -> None:
    pipeline_name, stage_name = PIPELINE_PROPERTIES.get(object_type, ("", ""))
    if pipeline_name not in values and stage_name not in values:
        return
    pipeline_id = values.get(pipeline_name) or current.get(pipeline_name)
    stage_id = values.get(stage_name) or current.get(stage_name)
    if account.schema.stage(object_type, pipeline_id, stage_id) is None:
        message = f"{stage_id} was not one of the allowed options: stages of pipeline {pipeline_id}"
        raise invalid_properties([(stage_name, "INVALID_OPTION", message)], account.portal_id)


def _check_unique(
    account: Account, object_type: str, values: Mapping[str, str], record: Record | None
) -> None:
    for name, value in values.items():
        if not value or not account.store.is_unique(object_type, name):
            continue
        other = account.store.find(object_type, name, value)
        if other is None or (record is not None and other.id == record.id):
            continue
        if name == "email" and object_type == "contacts" and not account.switches.duplicate_email_is_400:
            raise duplicate_email(other.id)
        raise duplicate_value(account, object_type, name, value, other.id, record)


def check_restore(account: Account, record: Record) -> None:
    """Check the unique values of an archived record. Raises Refusal if a live record has one of them."""
    _check_unique(account, record.object_type, record.properties, record)


def duplicate_email(holder_id: str) -> Refusal:
    # HubSpot gives the ID only in the message: https://github.com/HubSpot/hubspot-api-php/issues/59
    return Refusal(409, f"Contact already exists. Existing ID: {holder_id}", category="CONFLICT")


def duplicate_value(
    account: Account, object_type: str, name: str, value: str, holder_id: str, record: Record | None
) -> Refusal:
    # HubSpot names no property in `errors`, and a create has an ID already:
    # https://github.com/crowdbotics/modules (recorded responses)
    own_id = record.id if record is not None else account.store.reserve_id(object_type)
    return invalid(
        f"Cannot set PropertyValueCoordinates{{portalId={account.portal_id}, objectTypeId=ObjectTypeId"
        f"{{legacyObjectType={SINGULAR[object_type].upper()}}}, propertyName={name}, value={value}}} on {own_id}. "
        f"{holder_id} already has that value."
    )


def _check_required_by_admin(
    account: Account,
    object_type: str,
    values: Mapping[str, str],
    result: Mapping[str, str],
    *,
    is_create: bool,
) -> None:
    # https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement
    errors = []
    if is_create:
        errors = [
            _required_error(name, "MISSING_REQUIRED_PROPERTY", f"A value for {name} must be provided")
            for name in account.switches.required_properties.get(object_type, ())
            if not result.get(name)
        ]
    for condition, names in account.switches.conditional_properties.get(object_type, {}).items():
        source, _, value = condition.partition("=")
        if values.get(source) and value in ("", values[source]):
            errors += [
                _required_error(
                    name,
                    "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
                    f"{name} is required because of a conditional property rule based on [{source}]",
                )
                for name in names
                if not result.get(name)
            ]
    if errors:
        raise Refusal(
            400, "The property values provided are invalid", category="VALIDATION_ERROR", errors=errors
        )


def _required_error(name: str, code: str, message: str) -> dict[str, Any]:
    return {"message": message, "code": code, "context": {"propertyName": [name]}}


def _drop_earlier_lifecycle_stage(account: Account, record: Record, values: dict[str, str]) -> None:
    # HubSpot ignores an earlier lifecycle stage unless the stage was cleared first.
    # https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
    new, current = values.get("lifecyclestage"), record.properties.get("lifecyclestage")
    if new and current:
        order = list(account.schema.option_labels("contacts", "lifecyclestage"))
        if current in order and order.index(new) < order.index(current):
            del values["lifecyclestage"]
