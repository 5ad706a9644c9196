"""Merge of two records.

https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
"""

from hubspot_emulator.rules import writes
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.names import LAST_MODIFIED, OBJECT_TYPES
from hubspot_emulator.wire.replies import invalid


def merge(account: Account, object_type: str, primary_id: str, merged_id: str) -> Record:
    """Merge two records and return the survivor, which normally has a new ID. Raises Refusal unless both are live."""
    store = account.store
    primary, other = (store.get(object_type, record_id) for record_id in (primary_id, merged_id))
    if primary is None or other is None or primary.archived or other.archived:
        raise invalid("Could not merge objects. One of them does not exist", ids=[primary_id, merged_id])
    if primary is other:
        raise invalid("An object cannot be merged with itself", ids=[primary_id, merged_id])
    now = account.now()
    properties = _merged_properties(object_type, primary, other) | {LAST_MODIFIED[object_type]: now}
    links = [
        (to_type, to_id, forward, inverse)
        for old in (primary, other)
        for to_type in OBJECT_TYPES
        for to_id, types in store.links(object_type, old.id, to_type).items()
        for forward in types
        if to_id not in (primary.id, other.id)
        and (inverse := account.labels.inverse_type(object_type, to_type, forward)) is not None
    ]
    created_at = min(primary.created_at, other.created_at)
    if account.switches.merge_keeps_primary_id:
        store.remove(other)
        properties["hs_object_id"] = primary.id
        store.change(primary, properties, now)
        survivor = primary
    else:
        store.remove(primary)
        store.remove(other)
        survivor = store.add(object_type, properties, now)
        survivor.created_at = created_at
        store.add_merge(object_type, primary.id, survivor.id)
    store.add_merge(object_type, other.id, survivor.id)
    for to_type, to_id, forward, inverse in links:
        writes.link(account, (object_type, survivor.id), (to_type, to_id), forward, inverse)
    return survivor


def _merged_properties(object_type: str, primary: Record, other: Record) -> dict[str, str]:
    # Values of the primary record win; the other record fills its empty properties.
    properties = {**other.properties, **{name: value for name, value in primary.properties.items() if value}}
    properties["createdate"] = min(primary.properties["createdate"], other.properties["createdate"])
    ids = ";".join(
        record_id
        for record in (primary, other)
        for record_id in (record.id, *record.properties.get("hs_merged_object_ids", "").split(";"))
        if record_id
    )
    properties["hs_merged_object_ids"] = ids
    if object_type == "contacts":
        # https://github.com/HubSpot/hubspot-api-nodejs/issues/6
        properties["hs_calculated_merged_vids"] = properties["hs_all_contact_vids"] = ids
        emails = [
            email
            for record in (primary, other)
            for email in (
                record.properties.get("email", ""),
                *record.properties.get("hs_additional_emails", "").split(";"),
            )
            if email and email != properties.get("email")
        ]
        if emails:
            properties["hs_additional_emails"] = ";".join(dict.fromkeys(emails))
    return properties
