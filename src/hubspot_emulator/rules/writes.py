"""The rules that a write must pass, and the write itself.

`check_*` decide without changing anything, so that a batch can be refused as a whole; `create`, `update`, `archive`
and `merge` commit.
"""

from collections.abc import Mapping
from typing import Any

from hubspot_emulator.rules import calculated
from hubspot_emulator.rules.values import BadValueError, stored_value
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import AssociationType, Record
from hubspot_emulator.wire.calls import require_integer
from hubspot_emulator.wire.names import (
    LAST_MODIFIED,
    OBJECT_TYPES,
    PIPELINE_PROPERTIES,
    SINGULAR,
    TYPE_IDS,
    ApiVersion,
)
from hubspot_emulator.wire.replies import Refusal, invalid, invalid_properties

Link = tuple[str, str, AssociationType, AssociationType]
"""(to type, to id, type there, type back)"""

# Required whenever one is created: https://developers.hubspot.com/docs/api-reference/crm-deals-v3/guide
_REQUIRED = {"deals": ("dealname", "dealstage"), "tickets": ("subject", "hs_pipeline_stage")}
_NAMED_BY = ("email", "firstname", "lastname")


def check_create(
    account: Account, object_type: str, raw: Mapping[str, Any], version: ApiVersion
) -> dict[str, str]:
    """The values to store. Raises Refusal."""
    if object_type in PIPELINE_PROPERTIES:
        pipeline_name, _ = PIPELINE_PROPERTIES[object_type]
        if not raw.get(pipeline_name):
            raw = {**raw, pipeline_name: account.schema.default_pipeline_id(object_type)}
    values = {name: value for name, value in _values(account, object_type, raw, None).items() if value}
    missing = [name for name in _REQUIRED.get(object_type, ()) if not values.get(name)]
    if missing:
        raise invalid(
            f"Error creating {SINGULAR[object_type].upper()}. Some required properties were not set.",
            properties=missing,
        )
    if object_type == "contacts" and not any(values.get(name) for name in _NAMED_BY):
        raise invalid(
            "Error creating CONTACT. Some required properties were not set.", properties=list(_NAMED_BY)
        )
    if version.enforces_required_properties:
        _check_required_by_admin(account, object_type, values, values, is_create=True)
    _check_stage(account, object_type, values, {})
    _check_unique(account, object_type, values, None)
    return values


def check_update(
    account: Account, record: Record, raw: Mapping[str, Any], version: ApiVersion
) -> dict[str, str]:
    """The values to change. Raises Refusal."""
    object_type = record.object_type
    values = _values(account, object_type, raw, record)
    if version.enforces_required_properties:
        _check_required_by_admin(
            account, object_type, values, {**record.properties, **values}, is_create=False
        )
    _check_stage(account, object_type, values, record.properties)
    _check_unique(account, object_type, values, record)
    if object_type == "contacts":
        _keep_lifecycle_forward(account, record, values)
    return values


def check_links(account: Account, object_type: str, raw: Any) -> list[Link]:
    """The links of a create. Raises Refusal (400) for an unknown type or target."""
    links: list[Link] = []
    if raw is None:
        return links
    bad_ids = []
    for each in raw if isinstance(raw, list) else ():
        to = str(each["to"].get("id", ""))
        for spec in each.get("types", ()):
            kind = (str(spec.get("associationCategory")), require_integer(spec, "associationTypeId"))
            found = [
                (target, inverse)
                for target in OBJECT_TYPES
                if (inverse := account.labels.inverse_type(object_type, target, kind)) is not None
            ]
            if not found:
                raise invalid(
                    f"invalid from object type {TYPE_IDS[object_type]} for associations to be created. "
                    f"No association type {kind[1]} of category {kind[0]} begins there"
                )
            [(target, inverse)] = found
            record = account.store.get(target, to)
            if record is None or record.archived:
                bad_ids.append(to)
                continue
            links.append((target, record.id, kind, inverse))
    if bad_ids:
        # https://developers.hubspot.com/docs/api-reference/error-handling
        raise invalid("One or more associations are invalid", INVALID_OBJECT_IDS=bad_ids)
    return links


def create(account: Account, object_type: str, values: dict[str, str], links: list[Link]) -> Record:
    now = account.now()
    properties = values | calculated.on_create(object_type, values, now)
    properties |= calculated.on_write(account.schema, object_type, {}, properties, now)
    record = account.store.add(object_type, properties, now)
    for to_type, to_id, forward, inverse in links:
        link(account, (object_type, record.id), (to_type, to_id), forward, inverse)
    return record


def update(account: Account, record: Record, values: Mapping[str, str]) -> dict[str, str]:
    """Everything that changed, the computed values too."""
    now = account.now()
    changes = dict(values)
    changes |= calculated.on_write(account.schema, record.object_type, record.properties, changes, now)
    changes[LAST_MODIFIED[record.object_type]] = now
    account.store.change(record, changes, now)
    return changes


def archive(account: Account, object_type: str, record_id: str) -> None:
    record = account.store.get(object_type, record_id)
    if record is not None and not record.archived:
        account.store.archive(record, account.now())
        for to_type in OBJECT_TYPES:
            for to_id in account.store.links(object_type, record.id, to_type):
                _roll_up(account, to_type, to_id, object_type)


def link(
    account: Account,
    source: tuple[str, str],
    target: tuple[str, str],
    forward: AssociationType,
    inverse: AssociationType,
) -> None:
    account.store.link(source, target, forward, inverse)
    # The unlabelled type stands beside every label.
    # https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
    default = account.labels.default(source[0], target[0])
    if forward != default:
        account.store.link(source, target, default, account.labels.default(target[0], source[0]))
    _roll_up(account, *source, target[0])
    _roll_up(account, *target, source[0])


def unlink(
    account: Account,
    source: tuple[str, str],
    target: tuple[str, str],
    *,
    forward: AssociationType | None = None,
    inverse: AssociationType | None = None,
) -> None:
    """Remove one type of link, or all when none is named."""
    account.store.unlink(source, target, forward=forward, inverse=inverse)
    _roll_up(account, *source, target[0])
    _roll_up(account, *target, source[0])


def _roll_up(account: Account, object_type: str, record_id: str, to_type: str) -> None:
    name = {
        ("deals", "contacts"): "num_associated_contacts",
        ("contacts", "deals"): "num_associated_deals",
    }.get((object_type, to_type))
    record = account.store.records[object_type].get(record_id)
    if name and record is not None:
        count = str(len(account.store.links(object_type, record_id, to_type)))
        if record.properties.get(name) != count:
            account.store.set_rollup(record, name, count)


def _values(
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
        elif value is not None:
            # `null` changes nothing: https://github.com/HubSpot/hubspot-api-nodejs/issues/324
            options = schema.option_labels(object_type, name) if definition["type"] == "enumeration" else {}
            current = record.properties.get(name) if record else None
            try:
                values[name] = stored_value(definition, value, options=options, current=current)
            except BadValueError as error:
                problems.append((name, error.code, error.message))
    if problems:
        raise invalid_properties(problems, account.portal_id)
    return values


def _check_stage(
    account: Account, object_type: str, values: Mapping[str, str], before: Mapping[str, str]
) -> None:
    pipeline_name, stage_name = PIPELINE_PROPERTIES.get(object_type, ("", ""))
    if pipeline_name not in values and stage_name not in values:
        return
    pipeline_id = values.get(pipeline_name) or before.get(pipeline_name)
    stage_id = values.get(stage_name) or before.get(stage_name)
    if account.schema.stage(object_type, pipeline_id, stage_id) is None:
        message = f"{stage_id} was not one of the allowed options: stages of pipeline {pipeline_id}"
        raise invalid_properties([(stage_name, "INVALID_OPTION", message)], account.portal_id)


def _check_unique(
    account: Account, object_type: str, values: Mapping[str, str], record: Record | None
) -> None:
    for name, value in values.items():
        if not value or not account.store.is_unique(object_type, name):
            continue
        holder = account.store.find(object_type, name, value)
        if holder is None or (record is not None and holder.id == record.id):
            continue
        if name == "email" and object_type == "contacts":
            raise email_taken(holder.id)
        raise value_taken(account, object_type, name, value, holder.id)


def check_restore(account: Account, record: Record) -> None:
    """Raises Refusal when another record holds one of its unique values by now."""
    _check_unique(account, record.object_type, record.properties, record)


def email_taken(holder_id: str) -> Refusal:
    # The id stands in the text only: https://github.com/HubSpot/hubspot-api-php/issues/59
    return Refusal(409, f"Contact already exists. Existing ID: {holder_id}", category="CONFLICT")


def value_taken(account: Account, object_type: str, name: str, value: str, holder_id: str) -> Refusal:
    # https://developers.hubspot.com/docs/api-reference/crm-properties/guide#create-unique-identifier-properties
    message = (
        f"Cannot set PropertyValueCoordinates{{portalId={account.portal_id}, "
        f"objectTypeId={TYPE_IDS[object_type]}, propertyName={name}, value={value}}}. "
        f"{holder_id} already has that value."
    )
    return invalid_properties([(name, "CONFLICTING_UNIQUE_VALUE", message)], account.portal_id)


def _check_required_by_admin(
    account: Account,
    object_type: str,
    values: Mapping[str, str],
    after: Mapping[str, str],
    *,
    is_create: bool,
) -> None:
    # https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement
    errors = []
    if is_create:
        errors = [
            _required(name, "MISSING_REQUIRED_PROPERTY", f"A value for {name} must be provided")
            for name in account.switches.required_properties.get(object_type, ())
            if not after.get(name)
        ]
    for source, names in account.switches.conditional_properties.get(object_type, {}).items():
        if values.get(source):
            errors += [
                _required(
                    name,
                    "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
                    f"{name} is required because of a conditional property rule based on [{source}]",
                )
                for name in names
                if not after.get(name)
            ]
    if errors:
        raise Refusal(
            400, "The property values provided are invalid", category="VALIDATION_ERROR", errors=errors
        )


def _required(name: str, code: str, message: str) -> dict[str, Any]:
    return {"message": message, "code": code, "context": {"propertyName": [name]}}


def _keep_lifecycle_forward(account: Account, record: Record, values: dict[str, str]) -> None:
    # Backwards is ignored unless it was cleared first.
    # https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
    wanted, current = values.get("lifecyclestage"), record.properties.get("lifecyclestage")
    if wanted and current:
        order = list(account.schema.option_labels("contacts", "lifecyclestage"))
        if current in order and order.index(wanted) < order.index(current):
            del values["lifecyclestage"]
