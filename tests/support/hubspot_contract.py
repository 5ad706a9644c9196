"""Holds recorded exchanges against HubSpot's published OpenAPI documents, in both directions."""

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
    """One request and its answer. Bodies are decoded JSON, or a mapping for a form; None means no body."""

    method: str
    path: str
    query: Mapping[str, str | Sequence[str]]
    body: Any
    status: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Deviation:
    """One place where the wire or HubSpot's documentation departs from the published schema.

    `change` edits the named schema in place, and fails when there is nothing left to change.
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
        "`associations` may be left out of a create",
        "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
        _optional("associations"),
    ),
    Deviation(
        ("PublicObjectSearchRequest",),
        "every member of a search may be left out",
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
        "a batch read may leave out `properties` and `propertiesWithHistory`",
        "https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
        _optional("properties", "propertiesWithHistory"),
    ),
    Deviation(
        _RECORDS,
        "a property that was asked for and never set comes back as null",
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
        "`subCategory` of a row of a 207 is text",
        "https://github.com/HubSpot/hubspot-api-php/issues/619",
        _text_sub_category,
    ),
)

# Answered by HubSpot, described in none of the documents read here.
UNDOCUMENTED: Final = (
    ("GET", re.compile(r"/account-info/[^/]+/details")),
    ("GET", re.compile(r"/account-info/[^/]+/api-usage/daily/private-apps")),
    ("GET", re.compile(r"/crm/owners/[^/]+(/\d+)?")),
)

_TEXT: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
# The 2026-09 document gives the token answer no schema; 2026-03's, of the same shape, applies.
_TOKEN_ANSWER: Final = {
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
# (operation, status) that the documents leave out.
_EXTRA_ANSWERS: Final[Mapping[tuple[str, str, int], Any]] = {
    ("POST", "/oauth/2026-09/token", 200): _TOKEN_ANSWER,
    ("POST", "/oauth/2026-09/token/revoke", 200): {},
    # Introspection is documented by its base alone; the members of each kind of token are in 2026-03.
    ("POST", "/oauth/2026-09/token/introspect", 200): {
        "type": "object",
        "required": ["active"],
        "properties": {"active": {"type": "boolean"}},
        "additionalProperties": True,
    },
    # 200 in the document, 201 and 207 in the guide, as for every other batch create.
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
        """By status, and one for the request; built once, for they are asked thousands of times."""
        return {}


class HubSpotContract:
    """The documents of one folder, read as one contract.

    One normalisation: a dated version segment, `2026-09-beta` included, becomes `2026-09`, and the type
    ids `0-1`, `0-3`, `0-5` become names. Schemas are closed: a member that the document does not name is a
    fault, in a request (a typing mistake of ours) as in an answer (an invention).
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
        stated = {(number, name) for number, each in enumerate(DEVIATIONS) for name in each.schemas}
        if missing := stated - used:
            raise ValueError(f"deviations from schemas that the documents do not have: {sorted(missing)}")
        for listed in self._operations.values():
            listed.sort(key=lambda each: -each.literal_segments)

    @staticmethod
    def applies_to(exchange: Exchange) -> bool:
        """Dated and described at all; the v1, v3 and v4 paths have no document here."""
        segments = exchange.path.strip("/").split("/")
        if not any(_DATED.fullmatch(segment) for segment in segments):
            return False
        return not any(
            exchange.method == method and pattern.fullmatch(exchange.path) for method, pattern in UNDOCUMENTED
        )

    def request_problems(self, exchange: Exchange) -> list[str]:
        """What is wrong with the request; empty when it is in the contract."""
        operation = self._find(exchange)
        if operation is None:
            return [f"{exchange.method} {exchange.path} is not in the documents"]
        return [
            *_query_problems(operation, exchange.query),
            *_body_problems(operation, exchange.body),
        ]

    def response_problems(self, exchange: Exchange) -> list[str]:
        """What is wrong with an answer; empty when it is in the contract, or not a 2xx."""
        if not 200 <= exchange.status < 300:
            return []
        operation = self._find(exchange)
        if operation is None:
            return [f"{exchange.method} {exchange.path} is not in the documents"]
        extra = _EXTRA_ANSWERS.get((exchange.method, operation.template, exchange.status))
        if extra is not None:
            return list(_problems(operation, exchange.status, extra, exchange.answer))
        described = operation.description["responses"].get(str(exchange.status))
        if described is None:
            return [f"{exchange.method} {operation.template} does not answer {exchange.status}"]
        content = described.get("content")
        if not content:
            return [] if exchange.answer is None else [f"{exchange.status} has no body in the documents"]
        schema = next(iter(content.values()))["schema"]
        return list(_problems(operation, exchange.status, schema, exchange.answer))

    def _find(self, exchange: Exchange) -> _Operation | None:
        path = _normalised(exchange.path)
        for operation in self._operations.get(exchange.method.upper(), ()):
            if operation.pattern.fullmatch(path):
                return operation
        return None


def _normalised(path: str) -> str:
    segments = [
        "2026-09" if _DATED.fullmatch(each) else _TYPE_NAMES.get(each, each) for each in path.split("/")
    ]
    return "/".join(segments)


def _operation(template: str, description: Mapping[str, Any], schemas: Mapping[str, Any]) -> _Operation:
    segments = template.split("/")
    pattern = "/".join("[^/]+" if each.startswith("{") else re.escape(each) for each in segments)
    literal = sum(not each.startswith("{") for each in segments)
    return _Operation(template, re.compile(pattern), literal, description, schemas)


def _as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable`, no null examples, objects closed."""
    if isinstance(schema, list):
        return [_as_json_schema(each) for each in schema]
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
        where = "/".join(str(each) for each in error.absolute_path) or "(body)"
        yield f"{where}: {error.message}"


def _query_problems(operation: _Operation, query: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
    described = {
        each["name"]: each for each in operation.description.get("parameters", ()) if each["in"] == "query"
    }
    for name, given in query.items():
        if name not in described:
            yield f"query parameter {name} is not in the documents"
            continue
        schema = described[name]["schema"]
        for value in [given] if isinstance(given, str) else given:
            if schema["type"] == "integer" and not re.fullmatch(r"\d+", value):
                yield f"query parameter {name}={value} is not an integer"
            if schema["type"] == "boolean" and value not in ("true", "false"):
                yield f"query parameter {name}={value} is not a boolean"
            if "enum" in schema and value not in schema["enum"]:
                yield f"query parameter {name}={value} is not one of {schema['enum']}"
    for name, each in described.items():
        if each.get("required") and name not in query:
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
    """The documents in the folder that HUBSPOT_OPENAPI_DIR names; None when it is unset."""
    folder = os.environ.get(DOCUMENTS_VARIABLE)
    return HubSpotContract(Path(folder)) if folder else None


@contextmanager
def checked_against_documents(emulator: Emulator, *, check_requests: bool = False) -> Iterator[None]:
    """Fail at the end if the emulator gave an answer that the documents do not allow; injected faults aside.

    With `requests_too` the requests count as well, for those who test a client of ours. Without the documents
    nothing is checked.
    """
    contract = published_contract()
    if contract is None:
        yield
        return
    problems: dict[str, None] = {}

    def listen(heard: EmulatorExchange) -> None:
        if heard.request.fault is not None:
            return
        exchange = from_emulator(heard)
        if not contract.applies_to(exchange):
            return
        found = contract.response_problems(exchange)
        if check_requests:
            found += contract.request_problems(exchange)
        problems.update(
            (f"{exchange.method} {exchange.path} {exchange.status}: {each}", None) for each in found
        )

    emulator.listeners.append(listen)
    yield
    emulator.listeners.remove(listen)
    assert not problems, "\n".join(problems)


def from_emulator(heard: EmulatorExchange) -> Exchange:
    """One exchange as the emulator recorded it."""
    request, content = heard.request, heard.reply.content()
    return Exchange(
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
        status=heard.reply.status,
        # A page of HTML, as some 404s are, is no JSON.
        answer=json.loads(content) if content and heard.reply.raw is None else None,
    )
