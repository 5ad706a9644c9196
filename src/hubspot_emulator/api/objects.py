"""Single records and lists: list, create, read, update, archive, merge, erase.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from typing import Any

from hubspot_emulator.api.render import RecordRenderer, render_associations, render_written
from hubspot_emulator.rules import merges, writes
from hubspot_emulator.rules.values import normalise_email
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.calls import Call, optional_text, require_properties, require_text
from hubspot_emulator.wire.names import TYPE_IDS
from hubspot_emulator.wire.replies import Refusal, Reply, invalid, not_found, wrong_json

# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/basic/get-crm-v3-objects-contacts
MAX_PAGE_SIZE = 100
# https://github.com/HubSpot/hubspot-api-python/issues/143
MAX_PAGE_SIZE_WITH_HISTORY = 50


def list_records(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    history = call.list_parameter("propertiesWithHistory")
    max_page_size = MAX_PAGE_SIZE_WITH_HISTORY if history else MAX_PAGE_SIZE
    limit = call.integer_parameter("limit", default=10, maximum=max_page_size)
    after = call.integer_parameter("after", default=0, maximum=10**18, minimum=0)
    renderer = RecordRenderer(account, object_type, call.list_parameter("properties"), history)
    to_types = call.list_parameter("associations")
    records, next_after = account.store.page(
        object_type, after, limit, archived=call.flag_parameter("archived")
    )
    results = []
    for record in records:
        wire = renderer.render(record)
        if associations := render_associations(account, record, to_types):
            wire["associations"] = associations
        results.append(wire)
    body: dict[str, Any] = {"results": results}
    if next_after is not None:
        link = f"https://api.hubapi.com/crm/v3/objects/{object_type}?after={next_after}&limit={limit}"
        body["paging"] = {"next": {"after": str(next_after), "link": link}}
    return Reply(200, body)


def create(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    body = call.json_object()
    links = body.get("associations")
    check_association_shape(links)
    values = writes.check_create(account, object_type, require_properties(body), call.version)
    record = writes.create(account, object_type, values, writes.check_links(account, object_type, links))
    version = call.version.text
    area = f"objects/{version}" if call.version.is_dated else f"{version}/objects"
    return Reply(201, render_written(account, record), {"Location": f"/crm/{area}/{object_type}/{record.id}"})


def read(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    record = _requested_record(account, call, object_type, archived=call.flag_parameter("archived"))
    renderer = RecordRenderer(
        account, object_type, call.list_parameter("properties"), call.list_parameter("propertiesWithHistory")
    )
    wire = renderer.render(record)
    if associations := render_associations(account, record, call.list_parameter("associations")):
        wire["associations"] = associations
    return Reply(200, wire)


def update(account: Account, call: Call) -> Reply:
    object_type = call.object_type
    raw = require_properties(call.json_object())
    record = _requested_record(account, call, object_type, archived=False)
    changes = writes.update(account, record, writes.check_update(account, record, raw, call.version))
    return Reply(200, render_written(account, record, changes))


def archive(account: Account, call: Call) -> Reply:
    # HubSpot returns 204 for an unknown ID, too: https://github.com/n8n-io/n8n/issues/3219
    writes.archive(account, call.object_type, call.path_parameters["id"])
    return Reply(204)


def merge(account: Account, call: Call) -> Reply:
    body = call.json_object("primaryObjectId", "objectIdToMerge")
    primary_id, merged_id = require_text(body, "primaryObjectId"), require_text(body, "objectIdToMerge")
    record = merges.merge(account, call.object_type, primary_id, merged_id)
    return Reply(200, render_written(account, record))


def erase(account: Account, call: Call) -> Reply:
    # https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/gdpr/post-crm-v3-objects-contacts-gdpr-delete
    body = call.json_object("objectId")
    object_type = call.object_type
    value = require_text(body, "objectId")
    record = find_record(account, object_type, value, optional_text(body, "idProperty"))
    if record is not None:
        account.store.remove(record)
    return Reply(204)


def find_record(account: Account, object_type: str, value: str, id_property: str | None) -> Record | None:
    """Find a record by ID (following merges) or by `id_property`. Raises Refusal (400) if that is not unique."""
    if id_property is None:
        return account.store.get(object_type, value)
    check_id_property(account, object_type, id_property)
    if object_type == "contacts" and id_property == "email":
        value = normalise_email(value)
    return account.store.find(object_type, id_property, value)


def check_id_property(account: Account, object_type: str, name: str) -> None:
    # HubSpot refuses hs_object_id, too: https://github.com/segmentio/action-destinations/issues/3957
    if not account.store.is_unique(object_type, name):
        type_id = TYPE_IDS[object_type]
        raise invalid(f"Unable to perform update/upsert by non-unique {type_id} property {name}")


def check_association_shape(raw: Any) -> None:
    """Check that associations are a list of {to: {id}, types: [...]}. Raises Refusal (400) otherwise."""
    if raw is None:
        return
    if not isinstance(raw, list):
        raise wrong_json("value of type `java.util.ArrayList`")
    for item in raw:
        is_valid = (
            isinstance(item, dict)
            and isinstance(item.get("to"), dict)
            and isinstance(item.get("types"), list)
            and all(isinstance(spec, dict) for spec in item["types"])
        )
        if not is_valid:
            raise wrong_json("value of type `PublicAssociationsForObject`")


def _requested_record(account: Account, call: Call, object_type: str, *, archived: bool) -> Record:
    value, id_property = call.path_parameters["id"], call.parameter("idProperty")
    if id_property is None and not (value.isascii() and value.isdigit()):
        # HubSpot's message has two spaces, as in captures of 2026.
        raise Refusal(
            404,
            "Object not found.  objectId are usually numeric.",
            category="OBJECT_NOT_FOUND",
            context={"id": [value]},
        )
    record = find_record(account, object_type, value, id_property)
    if record is None or record.archived != archived:
        # HubSpot sends no category here, as most captures show.
        raise not_found(category=None)
    return record
