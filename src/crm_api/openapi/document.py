"""Builds the OpenAPI document: FastAPI's, completed for SDK generators and with examples."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from crm_api.errors import ERROR_TYPES
from crm_api.openapi.examples import request_examples, success_example
from crm_api.openapi.field_docstrings import field_docstrings
from crm_api.openapi.headers import COMMON_HEADERS, HEADERS, header_references
from crm_api.openapi.responses import add_error_responses
from crm_api.schemas.common import ContractModel
from crm_api.schemas.problems import FieldProblem, Problem

TITLE: Final = "crm-api"
SUMMARY: Final = "Contacts, deals and tickets in the company's CRM."
DESCRIPTION: Final = """Register, log in, create deals, create tickets on deals, and list and search your records.

* A successful response is `{"message", "data"}`; an error is `application/problem+json` with a `code` for programs.
* Every response has an `X-Request-ID`; quote it when you ask for support.
* Send `Authorization: Bearer <access_token>`; get the token from `POST /api/login`, renew it with
  `POST /api/token/refresh`.
* A list has `results` and a `next_cursor`: send it as `cursor` to get the next page, until it is null.
  An empty `cursor` or `limit`, or the word `null`, counts as absent.
* Send an `Idempotency-Key` with requests that create a record; a retry with the same key creates nothing.
* Each operation lists its specific errors. Unknown paths return 404; a known path with another method returns 405 with
  an `Allow` header. `HEAD` is allowed wherever `GET` is; its response has no body.

<details><summary>All errors</summary>

| Status | `code` | `title` | Meaning |
|---|---|---|---|
"""
_TAGS: Final = {
    "Account": "Register, log in and manage your user account.",
    "Schema": "What a front end needs for forms: pipelines with their stages, and the properties of records.",
    "Deals": "Create, read, update, archive and search deals.",
    "Tickets": "Create tickets on deals; read, update, archive and search tickets.",
    "Overview": "Contacts with their deals and tickets, and one search for all object types.",
    "Contacts": "Contacts in the CRM: a customer's own contact, or all contacts for staff.",
    "Operations": "Health probes for operators.",
}
# Paths in the order in which a newcomer needs them; Swagger UI and generated references keep it.
PATHS: Final = (
    "/api/register", "/api/email/verify", "/api/email/verify/resend",
    "/api/login", "/api/token", "/api/token/refresh",
    "/api/me", "/api/me/password", "/api/password/forgot", "/api/password/reset",
    "/api/me/sessions", "/api/me/sessions/{id}", "/api/logout", "/api/me/export",
    "/api/pipelines", "/api/properties/{object_type}",
    "/api/deals", "/api/deals/{id}", "/api/deals/search",
    "/api/tickets", "/api/tickets/{id}", "/api/tickets/search",
    "/api/new-crm-objects", "/api/search",
    "/api/contacts", "/api/contacts/{id}", "/api/contacts/search",
    "/healthz", "/readyz",
)  # fmt: skip
_BEARER_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Access token from `POST /api/login`, a JWT that follows RFC8725.",
}
# Objects that `dump` does not sort: readers see these members in the order of the code.
_UNSORTED: Final = frozenset({"paths", "properties", "examples", "securitySchemes"})
_DEMO_SERVER: Final = {
    # Tools that import the document as a file need a host.
    "url": "http://localhost:4012",
    "description": "The local demo of `make run`.",
    "x-internal": False,
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")
# HubSpot's maximum for a string property, used for strings without a bound of their own.
# https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
_MAX_TEXT_LENGTH: Final = 65_536

# Operations that take the ID of the record that this operation creates.
_LINKS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "createDeal": ("deal", ("getDeal", "updateDeal", "archiveDeal", "createTicket")),
    "createTicket": ("ticket", ("getTicket", "updateTicket", "archiveTicket")),
    "createContact": ("contact", ("getContact", "updateContact")),
}
# Operations that may use the read cache for customers.
CACHED_OPERATIONS: Final = frozenset({
    "listContacts", "getContact", "searchContacts",
    "listDeals", "getDeal", "searchDeals",
    "listTickets", "getTicket", "searchTickets",
    "listCrmObjects", "searchEverything",
})  # fmt: skip


def operation_id(route: APIRoute) -> str:
    """Return the endpoint's name in camelCase: `create_deal` becomes `createDeal`."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def build_document(app: FastAPI) -> dict[str, Any]:
    """Build the document of an application."""
    settings = app.state.settings
    document = get_openapi(
        title=TITLE,
        version=app.version,
        openapi_version="3.1.0",
        summary=SUMMARY,
        description=DESCRIPTION + _error_table() + "\n</details>\n",
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        contact={"name": "Support", "url": settings.support_url},
        terms_of_service=settings.terms_url,
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[
            {
                "url": settings.root_path or "/",
                "description": "The service that serves this document, in production or development.",
                "x-internal": False,
            },
            _DEMO_SERVER,
        ],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _add_schemas(schemas)
    _add_field_docstrings(schemas)
    components["headers"] = HEADERS
    for flow in components["securitySchemes"]["oauth2"]["flows"].values():
        for name in flow.keys() & {"tokenUrl", "refreshUrl"}:
            flow[name] = settings.root_path + flow[name]
    # Swagger UI users paste tokens here; it comes second because generators use the first scheme.
    components["securitySchemes"]["bearerAuth"] = _BEARER_SCHEME
    document["security"] = []
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for schema in schemas.values():
        _complete_schema(schema)
    document["paths"] = dict(sorted(document["paths"].items(), key=_position))
    for path, item in document["paths"].items():
        document["paths"][path] = {method: item[method] for method in _METHODS if method in item}
        for operation in item.values():
            _finish_operation(operation, document)
    return document


def dump(document: dict[str, Any]) -> str:
    """Return the document as JSON with sorted members, so that the committed file changes only with the contract."""
    return json.dumps(_sorted(document, ""), indent=2, ensure_ascii=False) + "\n"


def _sorted(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_sorted(item, key) for item in node]
    if not isinstance(node, dict) or key == "value":
        return node
    # Keys that start with a slash are paths: their methods keep their order.
    keeps_order = key in _UNSORTED or key.startswith("/")
    return {name: _sorted(node[name], name) for name in (node if keeps_order else sorted(node))}


def _position(path_item: tuple[str, Any]) -> int:
    return PATHS.index(path_item[0]) if path_item[0] in PATHS else len(PATHS)


def _error_table() -> str:
    return "".join(
        f"| {error.status} | `{error.code}` | {error.title} | {error.detail} |\n"
        for error in ERROR_TYPES.values()
    )


def _add_schemas(schemas: dict[str, Any]) -> None:
    """Add the error body, whose codes are in the error table."""
    for model in (Problem, FieldProblem):
        schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    schemas["Problem"]["properties"]["code"]["enum"] = list(ERROR_TYPES)


def _add_field_docstrings(schemas: dict[str, Any]) -> None:
    """Describe each property with the docstring of its field, as Pydantic's `use_attribute_docstrings` would."""
    pending: list[type[ContractModel]] = [ContractModel]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        properties = schemas.get(model.__name__, {}).get("properties", {})
        for name, text in field_docstrings(model).items():
            if name in properties:
                members = properties[name] | {"description": text}
                # Pydantic writes the examples last, and `dump` does not sort a property with the name `value`.
                properties[name] = dict(sorted(members.items(), key=lambda member: member[0] == "examples"))


def _finish_operation(operation: dict[str, Any], document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    operation["summary"], operation["description"] = _summary_and_description(operation["description"])
    for parameter in operation.get("parameters", ()):
        _complete_schema(parameter["schema"])
        # The description must not appear twice.
        parameter.setdefault("description", parameter["schema"].pop("description", ""))
    responses = operation["responses"]
    # FastAPI adds a 422, but the service returns 400 for validation errors.
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        _complete_schema(content["schema"])
        content["examples"] = request_examples(content["schema"], schemas)
    if operation.get("security"):
        # An empty requirement makes the login optional. It comes last because generators use the first scheme.
        optional: list[dict[str, list[str]]] = [{}] if operation.pop("x-optional-login", False) else []
        operation["security"] = [{"oauth2": []}, {"bearerAuth": []}, *optional]
    for status, response in responses.items():
        if "x-codes" not in response:
            _finish_success(operation, int(status), response, schemas)
    add_error_responses(operation, document["components"])
    operation["responses"] = dict(sorted(responses.items()))


def _finish_success(
    operation: dict[str, Any], status: int, response: dict[str, Any], schemas: dict[str, Any]
) -> None:
    names = list(COMMON_HEADERS)
    if operation["tags"] != ["Operations"]:
        names.append("RateLimit-Policy")
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())):
        names.append("Idempotency-Replayed")
    if status == 503:
        names.append("Retry-After")
    if status == 201 and operation["operationId"] != "register":
        names.append("Location")
        response["links"] = _links(operation["operationId"])
    if operation["operationId"] in CACHED_OPERATIONS:
        names.append("Age")
    headers = response.setdefault("headers", {})
    headers.update(header_references(*names))
    message = response.pop("x-message", None)
    for content in response.get("content", {}).values():
        schema = content["schema"]
        _complete_schema(schema)
        content["examples"] = success_example(message, status, schema, schemas)
        name = schema.get("$ref", "").rpartition("/")[2]
        if response["description"] == "Successful Response" and name:
            response["description"] = schemas[name]["description"].splitlines()[0]
    if response["description"] == "Successful Response":
        response["description"] = "Success without a response body."


def _links(operation_id: str) -> dict[str, Any]:
    record, targets = _LINKS[operation_id]
    return {
        target: {
            "operationId": target,
            "parameters": {"id": "$response.body#/data/id"},
            "description": f"Uses the ID of this {record}.",
        }
        for target in targets
    }


def _summary_and_description(text: str) -> tuple[str, str]:
    """Return the first sentence without its full stop, and the other sentences."""
    summary, description = re.split(r"\.\s|\.$|\n", text, maxsplit=1)
    return summary, description.strip()


def _complete_schema(root: dict[str, Any]) -> None:
    """Drop titles, and add the bounds, formats and examples that SDK generators need."""
    for schema in list(_subschemas(root)):
        schema.pop("title", None)
        # Generators split a model with write-only members in two; no model here is both sent and returned.
        schema.pop("writeOnly", None)
        value_type = schema.get("type")
        if value_type == "string":
            _complete_string(schema)
        elif value_type in ("integer", "number"):
            _complete_number(schema)
        if "enum" in schema:
            schema.setdefault("examples", [schema["enum"][0]])
        elif "const" in schema:
            schema.setdefault("examples", [schema["const"]])
        elif value_type == "boolean":
            schema.setdefault("examples", [schema.get("default", False)])
        elif value_type == "null":
            schema.setdefault("examples", [None])
        elif schema.get("format") == "password":
            schema.setdefault("examples", ["correct horse battery"])
    for schema in list(_subschemas(root)):
        _merge_null(schema)


def _merge_null(schema: dict[str, Any]) -> None:
    """Write a nullable string as one schema with two types: some generators make a class of each union."""
    match schema.get("anyOf"):
        case [{"type": "string"} as text, {"type": "null"}] if "enum" not in text:
            del schema["anyOf"]
            schema.update({**text, **schema, "type": ["string", "null"]})


def _complete_string(schema: dict[str, Any]) -> None:
    if schema.keys() & {"enum", "const"}:
        for bound in ("maxLength", "pattern"):
            schema.pop(bound, None)
        return
    # Formats with a fixed length need no bound, and some generators fail if there is one.
    if schema.get("format") in {"date", "date-time", "uuid"}:
        return
    schema.setdefault("maxLength", _MAX_TEXT_LENGTH)
    if "pattern" in schema:
        # ECMA 262 with the u flag does not allow these escapes; Python does.
        schema["pattern"] = re.sub(r"""\\(["'#&~])""", r"\1", schema["pattern"])


def _complete_number(schema: dict[str, Any]) -> None:
    if schema["type"] == "integer":
        schema.setdefault("format", "int32")
    for bound in ("minimum", "maximum"):
        if isinstance(schema.get(bound), float) and schema[bound].is_integer():
            schema[bound] = int(schema[bound])


def _subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema and those inside it; a key under `properties` is a field name, so it may be `title`."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _subschemas(inner)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from _subschemas(schema[keyword])
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(keyword, ()):
            yield from _subschemas(inner)


def lazy_document(app: FastAPI) -> Callable[[], bytes]:
    """Return a function that builds the document on its first call and then returns the same bytes."""

    @cache
    def document() -> bytes:
        return dump(build_document(app)).encode()

    return document
