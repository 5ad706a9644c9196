"""Validation of recorded requests and responses against HubSpot's published OpenAPI documents."""

import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jsonschema

from hubspot_emulator import Emulator
from hubspot_emulator import Exchange as EmulatorExchange

DOCUMENTS_VARIABLE: Final = "HUBSPOT_OPENAPI_DIR"

_TYPE_NAMES: Final = {"0-1": "contacts", "0-3": "deals", "0-5": "tickets"}
_METHODS: Final = frozenset(("get", "put", "post", "patch", "delete"))
_DATED: Final = re.compile(r"\d{4}-\d{2}(-beta)?")

_FORMATS: Final = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Request with its response. Bodies are decoded JSON, or a mapping for a form; None means no body."""

    method: str
    path: str
    query: Mapping[str, str | Sequence[str]]
    body: Any
    status: int
    response: Any


@dataclass(frozen=True, slots=True)
class Deviation:
    """Known error in a published schema, as shown by HubSpot's behaviour or documentation.

    `change` corrects the named schema in place, and fails if the schema no longer has the error.
    """

    schemas: tuple[str, ...]
    reason: str
    source: str
    change: Callable[[dict[str, Any]], None]


def _optional(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        for name in names:
            schema["required"].remove(name)

    return change


def _null_values(name: str) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"][name]["additionalProperties"]["nullable"] = True

    return change


def _nullable(name: str) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"][name]["nullable"] = True

    return change


def _search_sorts(schema: dict[str, Any]) -> None:
    assert schema["properties"]["sorts"]["items"]["type"] == "string"
    schema["properties"]["sorts"]["items"] = {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["propertyName", "direction"],
                "properties": {
                    "propertyName": {"type": "string"},
                    "direction": {"enum": ["ASCENDING", "DESCENDING"]},
                },
            },
        ]
    }


def _text_sub_category(schema: dict[str, Any]) -> None:
    assert schema["properties"]["subCategory"]["type"] == "object"
    schema["properties"]["subCategory"] = {"type": "string"}


_RECORDS: Final = ("SimplePublicObject", "SimplePublicObjectWithAssociations", "SimplePublicUpsertObject")

DEVIATIONS: Final = (
    Deviation(
        ("SimplePublicObjectInputForCreate", "SimplePublicObjectBatchInputForCreate"),
        "`associations` is optional in a create",
        "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
        _optional("associations"),
    ),
    Deviation(
        ("PublicObjectSearchRequest",),
        "every member of a search is optional",
        "https://developers.hubspot.com/docs/api-reference/search/guide",
        _optional("after", "filterGroups", "limit", "properties", "sorts"),
    ),
    Deviation(
        ("PublicObjectSearchRequest",),
        "sorts are objects in the guide and strings in the document; both work",
        "https://github.com/HubSpot/hubspot-api-nodejs/issues/545",
        _search_sorts,
    ),
    Deviation(
        ("BatchReadInputSimplePublicObjectId",),
        "`properties` and `propertiesWithHistory` are optional in a batch read",
        "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
        _optional("properties", "propertiesWithHistory"),
    ),
    Deviation(
        _RECORDS,
        "a requested property without a value is returned as null",
        "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
        _null_values("properties"),
    ),
    Deviation(
        ("AssociationSpecWithLabel",),
        "the default association type has the label null",
        "https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide",
        _nullable("label"),
    ),
    Deviation(
        ("StandardError",),
        "`subCategory` of an error in a 207 is text",
        "https://github.com/HubSpot/hubspot-api-php/issues/619",
        _text_sub_category,
    ),
)

# Paths of HubSpot that none of the documents describes.
UNDOCUMENTED: Final = (
    ("GET", re.compile(r"/account-info/[^/]+/details")),
    ("GET", re.compile(r"/account-info/[^/]+/api-usage/daily/private-apps")),
    ("GET", re.compile(r"/crm-object-schemas/[^/]+/schemas/[^/]+")),
    ("GET", re.compile(r"/crm/owners/[^/]+(/\d+)?")),
)

_TEXT: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
# The 2026-09 document has no schema for the token response, so this is that of 2026-03.
_TOKEN_RESPONSE: Final = {
    "type": "object",
    "required": ["access_token", "expires_in", "refresh_token", "token_type", "token_use"],
    "properties": {
        "access_token": _TEXT,
        "refresh_token": _TEXT,
        "token_type": _TEXT,
        "token_use": _TEXT,
        "id_token": _TEXT,
        "expires_in": _INTEGER,
        "hub_id": _INTEGER,
        "user_id": _INTEGER,
        "scopes": {"type": "array", "items": {"type": "string"}},
    },
}
# Responses that are missing in the documents.
_EXTRA_RESPONSES: Final[Mapping[tuple[str, str, int], Any]] = {
    ("POST", "/oauth/2026-09/token", 200): _TOKEN_RESPONSE,
    ("POST", "/oauth/2026-09/token/revoke", 200): {},
    # The 2026-09 document has only the common members of an introspection; the others are in 2026-03.
    ("POST", "/oauth/2026-09/token/introspect", 200): {
        "type": "object",
        "required": ["active"],
        "properties": {"active": {"type": "boolean"}},
        "additionalProperties": True,
    },
    # The document says 200; the guide says 201 and 207, as for every other batch create.
    ("POST", "/crm/properties/2026-09/{objectType}/batch/create", 201): {
        "$ref": "#/components/schemas/BatchResponseProperty"
    },
    **{
        ("POST", f"/crm/properties/2026-09/{{objectType}}/batch/{name}", 207): {
            "$ref": "#/components/schemas/BatchResponseProperty"
        }
        for name in ("create", "read")
    },
}


@dataclass(frozen=True)
class _Operation:
    template: str
    pattern: re.Pattern[str]
    literal_segments: int
    description: Mapping[str, Any]
    schemas: Mapping[str, Any]

    @functools.cached_property
    def validators(self) -> dict[object, jsonschema.Draft202012Validator]:
        """Cache of validators by status, and one for the request."""
        return {}


class HubSpotContract:
    """OpenAPI documents of one folder, as one contract.

    Paths are normalised: each dated version (`2026-09-beta` too) becomes `2026-09`, and the type IDs `0-1`, `0-3`
    and `0-5` become names. Schemas are closed: a member that the document does not name is an error.
    """

    def __init__(self, folder: Path) -> None:
        self._operations: dict[str, list[_Operation]] = {}
        used: set[tuple[int, str]] = set()
        for file in sorted(folder.glob("*.json")):
            document = json.loads(file.read_text(encoding="utf-8"))
            schemas = document["components"]["schemas"]
            for number, deviation in enumerate(DEVIATIONS):
                for name in deviation.schemas:
                    if name in schemas:
                        deviation.change(schemas[name])
                        used.add((number, name))
            closed = _as_json_schema({"components": {"schemas": schemas}})
            for path, operations in document["paths"].items():
                template = _normalised(path)
                for method, description in operations.items():
                    if method in _METHODS:
                        operation = _operation(template, description, closed)
                        self._operations.setdefault(method.upper(), []).append(operation)
        stated = {(number, name) for number, deviation in enumerate(DEVIATIONS) for name in deviation.schemas}
        if missing := stated - used:
            raise ValueError(f"deviations from schemas that the documents do not have: {sorted(missing)}")
        for listed in self._operations.values():
            listed.sort(key=lambda operation: -operation.literal_segments)

    @staticmethod
    def applies_to(exchange: Exchange) -> bool:
        """Return True for dated paths with a document; v1, v3 and v4 paths have none here."""
        segments = exchange.path.strip("/").split("/")
        if not any(_DATED.fullmatch(segment) for segment in segments):
            return False
        return not any(
            exchange.method == method and pattern.fullmatch(exchange.path) for method, pattern in UNDOCUMENTED
        )

    def request_problems(self, exchange: Exchange) -> list[str]:
        """Return the contract violations of the request."""
        operation = self._find(exchange)
        if operation is None:
            return [f"{exchange.method} {exchange.path} is not in the documents"]
        return [
            *_query_problems(operation, exchange.query),
            *_body_problems(operation, exchange.body),
        ]

    def response_problems(self, exchange: Exchange) -> list[str]:
        """Return the contract violations of the response; only 2xx responses are checked."""
        if not 200 <= exchange.status < 300:
            return []
        operation = self._find(exchange)
        if operation is None:
            return [f"{exchange.method} {exchange.path} is not in the documents"]
        documented = _EXTRA_RESPONSES.get((exchange.method, operation.template, exchange.status))
        if documented is not None:
            return list(_problems(operation, exchange.status, documented, exchange.response))
        described = operation.description["responses"].get(str(exchange.status))
        if described is None:
            return [f"{exchange.method} {operation.template} has no response {exchange.status}"]
        content = described.get("content")
        if not content:
            return [] if exchange.response is None else [f"{exchange.status} has no body in the documents"]
        schema = next(iter(content.values()))["schema"]
        return list(_problems(operation, exchange.status, schema, exchange.response))

    def _find(self, exchange: Exchange) -> _Operation | None:
        path = _normalised(exchange.path)
        for operation in self._operations.get(exchange.method.upper(), ()):
            if operation.pattern.fullmatch(path):
                return operation
        return None


def _normalised(path: str) -> str:
    segments = [
        "2026-09" if _DATED.fullmatch(segment) else _TYPE_NAMES.get(segment, segment)
        for segment in path.split("/")
    ]
    return "/".join(segments)


def _operation(template: str, description: Mapping[str, Any], schemas: Mapping[str, Any]) -> _Operation:
    segments = template.split("/")
    pattern = "/".join("[^/]+" if segment.startswith("{") else re.escape(segment) for segment in segments)
    literal = sum(not segment.startswith("{") for segment in segments)
    return _Operation(template, re.compile(pattern), literal, description, schemas)


def _as_json_schema(schema: Any) -> Any:
    """Convert an OpenAPI 3.0 schema to JSON Schema: translate `nullable`, drop examples, close objects."""
    if isinstance(schema, list):
        return [_as_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _as_json_schema(value) for name, value in schema.items() if name != "example"}
    if changed.get("type") == "object" and isinstance(changed.get("properties"), dict):
        changed.setdefault("additionalProperties", False)
    if changed.pop("nullable", False) is True:
        changed = {"anyOf": [changed, {"type": "null"}]}
    return changed


def _problems(operation: _Operation, key: object, schema: Any, instance: Any) -> Iterator[str]:
    validator = operation.validators.get(key)
    if validator is None:
        root = {"allOf": [_as_json_schema(schema)], **operation.schemas}
        validator = jsonschema.Draft202012Validator(root, format_checker=_FORMATS)
        operation.validators[key] = validator
    for error in validator.iter_errors(instance):
        location = "/".join(str(part) for part in error.absolute_path) or "(body)"
        yield f"{location}: {error.message}"


def _query_problems(operation: _Operation, query: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
    described = {
        parameter["name"]: parameter
        for parameter in operation.description.get("parameters", ())
        if parameter["in"] == "query"
    }
    for name, sent in query.items():
        if name not in described:
            yield f"query parameter {name} is not in the documents"
            continue
        schema = described[name]["schema"]
        for value in [sent] if isinstance(sent, str) else sent:
            if schema["type"] == "integer" and not re.fullmatch(r"\d+", value):
                yield f"query parameter {name}={value} is not an integer"
            if schema["type"] == "boolean" and value not in ("true", "false"):
                yield f"query parameter {name}={value} is not a boolean"
            if "enum" in schema and value not in schema["enum"]:
                yield f"query parameter {name}={value} is not one of {schema['enum']}"
    for name, parameter in described.items():
        if parameter.get("required") and name not in query:
            yield f"query parameter {name} is missing"


def _body_problems(operation: _Operation, body: Any) -> Iterator[str]:
    described = operation.description.get("requestBody")
    if described is None:
        if body not in (None, {}, ""):
            yield "the documents describe no body"
        return
    schema = next(iter(described["content"].values()))["schema"]
    yield from _problems(operation, "request", schema, body)


@functools.cache
def published_contract() -> HubSpotContract | None:
    """Return the contract in the folder HUBSPOT_OPENAPI_DIR, or None if that is unset."""
    folder = os.environ.get(DOCUMENTS_VARIABLE)
    return HubSpotContract(Path(folder)) if folder else None


@contextmanager
def checked_against_documents(emulator: Emulator, *, check_requests: bool = False) -> Iterator[None]:
    """Fail at the end if a response of the emulator violates the documents; injected faults are not checked.

    With `check_requests`, requests are checked too. Without the documents nothing is checked.
    """
    contract = published_contract()
    if contract is None:
        yield
        return
    problems: dict[str, None] = {}

    def listen(recorded: EmulatorExchange) -> None:
        if recorded.request.fault is not None:
            return
        exchange = from_emulator(recorded)
        if not contract.applies_to(exchange):
            return
        errors = contract.response_problems(exchange)
        if check_requests:
            errors += contract.request_problems(exchange)
        problems.update(
            (f"{exchange.method} {exchange.path} {exchange.status}: {error}", None) for error in errors
        )

    emulator.listeners.append(listen)
    yield
    emulator.listeners.remove(listen)
    assert not problems, "\n".join(problems)


def from_emulator(recorded: EmulatorExchange) -> Exchange:
    request, content = recorded.request, recorded.reply.content()
    return Exchange(
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
        status=recorded.reply.status,
        # Some 404s have an HTML body.
        response=json.loads(content) if content and recorded.reply.raw is None else None,
    )
