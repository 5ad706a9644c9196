"""ETags of records, and If-Match (RFC 9110, sections 8.8.3 and 13.1.1)."""

import hashlib
import json
import re

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.services.properties.fields import ObjectFields

# Proxies that compress responses weaken an ETag (W/"...") or append the coding to it, as Apache does ("...-gzip").
_ETAG = re.compile(r'(?:W/)?"([0-9a-f]+)(?:[-;](?:gzip|deflate|br|zstd))?"')
# HubSpot changes these again shortly after a write, although no other value changes.
_UNSTABLE_PROPERTIES = frozenset({"lastmodifieddate", "hs_lastmodifieddate"})


def etag_of(record: CrmRecord, fields: ObjectFields) -> str:
    """Return the ETag: a hash of the readable properties except the time of the last change."""
    values = {name: record.get(name) for name in fields.properties if name not in _UNSTABLE_PROPERTIES}
    canonical = json.dumps([fields.object_type, record.id, values], sort_keys=True)
    return f'"{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"'


def require_match(if_match: str | None, record: CrmRecord, fields: ObjectFields) -> None:
    """Raise 412 if If-Match does not contain the record's ETag, in the form of the service or of a proxy."""
    if if_match is None or if_match.strip() == "*":
        return
    sent = {f'"{match[1]}"' for match in _ETAG.finditer(if_match)}
    if etag_of(record, fields) not in sent:
        raise ApiError("precondition_failed")
