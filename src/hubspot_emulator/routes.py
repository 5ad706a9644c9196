"""HubSpot's URLs: the endpoint, the API versions and the rate limit of each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from hubspot_emulator.api import (
    account_info,
    associations,
    associations_v3,
    batches,
    oauth,
    object_schemas,
    objects,
    pipelines,
    properties,
    search,
)
from hubspot_emulator.state.account import Account
from hubspot_emulator.state.limits import Budget
from hubspot_emulator.wire.calls import Call, NotEmulatedError
from hubspot_emulator.wire.names import ApiVersion, is_version
from hubspot_emulator.wire.replies import Reply

Endpoint = Callable[[Account, Call], Reply]

_V3_ASSOCIATION = "{type}/{id}/associations/{to}/{to_id}/{association_type}"
_V3, _V4, _ALL = ("v3", "dated"), ("v4", "dated"), ("v1", "v3", "v4", "dated")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: tuple[str, ...]
    endpoint: Endpoint
    versions: tuple[str, ...]
    budget: Budget
    needs_token: bool


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    version: ApiVersion
    area: str
    path_parameters: dict[str, str]


class MethodNotAllowedError(Exception):
    """Request for a known path with another method."""


def _routes(
    rows: Iterable[tuple[str, str, Endpoint, tuple[str, ...]]],
    budget: Budget = "burst",
    *,
    token: bool = True,
) -> list[Route]:
    return [
        Route(method, tuple(path.split("/")) if path else (), endpoint, versions, budget, token)
        for method, path, endpoint, versions in rows
    ]


# By area. The first match counts, so literal segments come before variable ones.
_AREAS: dict[str, list[Route]] = {
    "objects": [
        *_routes([("POST", "{type}/search", search.search, _V3)], "search"),
        *_routes(
            [
                ("GET", "{type}", objects.list_records, ("v3", "v4", "dated")),
                ("POST", "{type}", objects.create, _V3),
                ("POST", "{type}/merge", objects.merge, _V3),
                ("POST", "{type}/gdpr-delete", objects.erase, _V3),
                ("POST", "{type}/batch/read", batches.read, _V3),
                ("POST", "{type}/batch/create", batches.create, _V3),
                ("POST", "{type}/batch/update", batches.update, _V3),
                ("POST", "{type}/batch/upsert", batches.upsert, _V3),
                ("POST", "{type}/batch/archive", batches.archive, _V3),
                ("GET", "{type}/{id}", objects.read, _V3),
                ("PATCH", "{type}/{id}", objects.update, _V3),
                ("DELETE", "{type}/{id}", objects.archive, _V3),
                ("PUT", "{type}/{id}/associations/default/{to}/{to_id}", associations.put_default, _V4),
                ("GET", "{type}/{id}/associations/{to}", associations.read, _V4),
                ("GET", "{type}/{id}/associations/{to}", associations_v3.read, ("v3",)),
                ("PUT", _V3_ASSOCIATION, associations_v3.put, ("v3",)),
                ("DELETE", _V3_ASSOCIATION, associations_v3.delete, ("v3",)),
                ("PUT", "{type}/{id}/associations/{to}/{to_id}", associations.put, _V4),
                ("DELETE", "{type}/{id}/associations/{to}/{to_id}", associations.delete, _V4),
            ]
        ),
    ],
    "associations": _routes(
        [
            ("POST", "{from}/{to}/batch/read", associations.batch_read, _ALL),
            ("POST", "{from}/{to}/batch/create", associations.batch_create, _ALL),
            ("POST", "{from}/{to}/batch/archive", associations.batch_archive, _ALL),
            ("POST", "{from}/{to}/batch/associate/default", associations.batch_default, _V4),
            ("POST", "{from}/{to}/batch/labels/archive", associations.batch_labels_archive, _V4),
            ("GET", "{from}/{to}/labels", associations.labels, _V4),
            ("POST", "{from}/{to}/labels", associations.create_label, _V4),
            ("PUT", "{from}/{to}/labels", associations.update_label, _V4),
            ("DELETE", "{from}/{to}/labels/{type_id}", associations.delete_label, _V4),
        ],
        "association_batch",
    ),
    "pipelines": _routes(
        [
            ("GET", "{type}", pipelines.list_all, _V3),
            ("POST", "{type}", pipelines.create, _V3),
            ("GET", "{type}/{pipeline}", pipelines.read, _V3),
            ("PATCH", "{type}/{pipeline}", pipelines.update, _V3),
            ("PUT", "{type}/{pipeline}", pipelines.replace, _V3),
            ("DELETE", "{type}/{pipeline}", pipelines.delete, _V3),
            ("GET", "{type}/{pipeline}/stages", pipelines.list_stages, _V3),
            ("POST", "{type}/{pipeline}/stages", pipelines.create_stage, _V3),
            ("GET", "{type}/{pipeline}/stages/{stage}", pipelines.read_stage, _V3),
            ("PATCH", "{type}/{pipeline}/stages/{stage}", pipelines.update_stage, _V3),
            ("PUT", "{type}/{pipeline}/stages/{stage}", pipelines.update_stage, _V3),
            ("DELETE", "{type}/{pipeline}/stages/{stage}", pipelines.delete_stage, _V3),
        ]
    ),
    "properties": _routes(
        [
            ("GET", "{type}", properties.list_all, _V3),
            ("POST", "{type}", properties.create, _V3),
            ("POST", "{type}/batch/read", properties.batch_read, _V3),
            ("POST", "{type}/batch/create", properties.batch_create, _V3),
            ("POST", "{type}/batch/archive", properties.batch_archive, _V3),
            ("GET", "{type}/groups", properties.list_groups, _V3),
            ("POST", "{type}/groups", properties.create_group, _V3),
            ("GET", "{type}/groups/{group}", properties.read_group, _V3),
            ("PATCH", "{type}/groups/{group}", properties.update_group, _V3),
            ("DELETE", "{type}/groups/{group}", properties.archive_group, _V3),
            ("GET", "{type}/{name}", properties.read, _V3),
            ("PATCH", "{type}/{name}", properties.update, _V3),
            ("DELETE", "{type}/{name}", properties.archive, _V3),
        ]
    ),
    "owners": _routes([("GET", "", account_info.owners, _V3), ("GET", "{id}", account_info.owner, _V3)]),
    "oauth": _routes(
        [
            ("POST", "token", oauth.token, ("v1", "v3", "dated")),
            ("POST", "token/introspect", oauth.introspect, _V3),
            ("POST", "token/revoke", oauth.revoke, _V3),
            ("GET", "access-tokens/{token}", oauth.legacy_token, ("v1",)),
            ("GET", "refresh-tokens/{token}", oauth.legacy_token, ("v1",)),
            ("DELETE", "refresh-tokens/{token}", oauth.legacy_revoke, ("v1",)),
        ],
        "none",
        token=False,
    ),
    "crm-object-schemas": _routes([("GET", "schemas/{type}", object_schemas.read, _V3)]),
    "account-info": _routes([("GET", "details", account_info.details, _V3)]),
}
_CRM_AREAS = frozenset(("objects", "associations", "pipelines", "properties", "owners"))


def match(method: str, path: str) -> Match:
    """Return the route of an undecoded path. Raises NotEmulatedError (unknown path), MethodNotAllowedError."""
    area, version, segments = _split(path)
    kind = "dated" if version.is_dated else version.text
    other_method = False
    for route in _AREAS[area]:
        if len(route.pattern) != len(segments) or kind not in route.versions:
            continue
        parameters = _path_parameters(route.pattern, segments)
        if parameters is None:
            continue
        if route.method == method:
            return Match(route, version, area, parameters)
        other_method = True
    if other_method:
        raise MethodNotAllowedError(path)
    raise NotEmulatedError(path)


def _split(path: str) -> tuple[str, ApiVersion, list[str]]:
    # HubSpot puts dated versions after the area, older ones before it.
    segments = path.strip("/").split("/")
    first, second, third = (*segments, "", "", "")[:3]
    if first == "crm" and third in _CRM_AREAS and second in ("v3", "v4"):
        return third, ApiVersion(second), segments[3:]
    if first == "crm" and second in _CRM_AREAS and ApiVersion(third).is_dated:
        return second, ApiVersion(third), segments[3:]
    if first in ("oauth", "account-info", "crm-object-schemas") and is_version(second):
        return first, ApiVersion(second), segments[2:]
    raise NotEmulatedError(path)


def _path_parameters(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    parameters = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            parameters[expected[1:-1]] = unquote(segment)
        elif expected != segment:
            return None
    return parameters
