"""ETags of records, If-Match and If-None-Match (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2)."""

import hashlib
import json
import re

from pydantic import BaseModel

from crm_api.errors import ApiError
from crm_api.hubspot import CrmRecord
from crm_api.services.properties.fields import ObjectFields

# Proxies that compress responses weaken an ETag (W/"...") or append the coding to it, as Apache does ("...-gzip").
# The first group is the record's version, the second one that of the representation.
_ETAG = re.compile(r'(?:W/)?"([0-9a-f]+)(\.[0-9a-f]+)?(?:[-;](?:gzip|deflate|br|zstd))?"')
# HubSpot changes these again shortly after a write, although no other value changes.
_UNSTABLE_PROPERTIES = frozenset({"lastmodifieddate", "hs_lastmodifieddate"})


def etag_of(record: CrmRecord, fields: ObjectFields) -> str:
    """Return the ETag: a hash of the readable properties except the time of the last change."""
    values = {name: record.get(name) for name in fields.properties if name not in _UNSTABLE_PROPERTIES}
    canonical = json.dumps([fields.object_type, record.id, values], sort_keys=True)
    return f'"{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"'


def representation_etag(record: CrmRecord, fields: ObjectFields, data: BaseModel) -> str:
    """Return the ETag of a response: the record's own, and a hash of all data with the associated records."""
    digest = hashlib.sha256(data.model_dump_json().encode()).hexdigest()[:16]
    return f'{etag_of(record, fields)[:-1]}.{digest}"'


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Return whether If-None-Match contains the ETag of the response, in the form of the service or of a proxy."""
    if if_none_match is None:
        return False
    sent = {f'"{match[1]}{match[2] or ""}"' for match in _ETAG.finditer(if_none_match)}
    return if_none_match.strip() == "*" or etag in sent


def require_match(if_match: str | None, record: CrmRecord, fields: ObjectFields) -> None:
    """Raise 412 if If-Match does not contain the record's ETag, in the form of the service or of a proxy."""
    if if_match is None or if_match.strip() == "*":
        return
    sent = {f'"{match[1]}"' for match in _ETAG.finditer(if_match)}
    if etag_of(record, fields) not in sent:
        raise ApiError("precondition_failed")
