"""ETags of records and what If-Match makes of them (RFC 9110, sections 8.8.3 and 13.1.1)."""

import hashlib
import json
import re

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.services.properties.fields import ObjectFields

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# HubSpot moves these by itself, moments after a write; nothing that a caller could overwrite has changed then.
_MOVING = frozenset({"lastmodifieddate", "hs_lastmodifieddate"})


def etag_of(record: CrmRecord, fields: ObjectFields) -> str:
    """The ETag: a hash of the readable properties, the time of the last change aside."""
    values = {name: record.get(name) for name in fields.properties if name not in _MOVING}
    canonical = json.dumps([fields.object_type, record.id, values], sort_keys=True)
    return f'"{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"'


def require_match(if_match: str | None, record: CrmRecord, fields: ObjectFields) -> None:
    """Raise 412 where If-Match names other states of the record; a weak ETag never matches."""
    if if_match is None or if_match.strip() == "*":
        return
    strong = {f'"{found[2]}"' for found in _ETAG.finditer(if_match) if not found[1]}
    if etag_of(record, fields) not in strong:
        raise ApiError("precondition_failed")
