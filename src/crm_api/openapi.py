"""The OpenAPI document: what FastAPI derives from the code, made exact and fit for generators."""

import json
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from crm_api.errors import KINDS, Kind
from crm_api.schemas.problems import MEDIA_TYPE, FieldProblem, Problem

TITLE: Final = "crm-api"
SUMMARY: Final = "Your deals and tickets in the company's CRM."
DESCRIPTION: Final = """Register, log in, open deals, raise tickets on them and read them back.

* A success is `{"message", "data"}`; an error is `application/problem+json`, and `code` says which.
* Every answer has an `X-Request-ID`; name it when you ask for help.
* Send `Authorization: Bearer <access_token>`; `POST /api/login` gives one, `POST /api/token/refresh` renews it.
"""
TAGS: Final = [
    {"name": "Account", "description": "Register, log in, and see who you are."},
    {"name": "CRM", "description": "Pipelines, contacts, deals and tickets."},
    {"name": "Operations", "description": "For probes; not for front ends."},
]
_EXAMPLE_REQUEST_ID: Final = "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"
_REASONS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "ContentTooLarge",
    415: "UnsupportedMediaType",
    422: "KeyReused",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {
        "description": "Names this request in our logs; yours is kept where it is 8 to 64 characters of "
        "A-Z, a-z, 0-9, `.`, `_`, `-`.",
        "required": True,
        "schema": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        "example": _EXAMPLE_REQUEST_ID,
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 86_400},
        "example": 12,
    },
    "ETag": {
        "description": "Names this state of the record, for If-Match.",
        "schema": {"type": "string", "maxLength": 100, "pattern": '^"[0-9a-f]+"$'},
        "example": '"5f0c8a52c2f04d6c8a1d0a2b7c9e4f11"',
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750).",
        "schema": {"type": "string", "maxLength": 200, "pattern": "^Bearer .*$"},
        "example": 'Bearer realm="crm-api"',
    },
    "RateLimit": {
        "description": "What is left of the limit: `r` requests, for `t` seconds.",
        "schema": {"type": "string", "maxLength": 200, "pattern": "^.*$"},
        "example": '"default";r=0;t=12',
    },
    "RateLimit-Policy": {
        "description": "The limit: `q` requests in `w` seconds.",
        "schema": {"type": "string", "maxLength": 200, "pattern": "^.*$"},
        "example": '"user_requests";q=120;w=60',
    },
}
_HEADERS_OF: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an operation may answer with, for its `responses`."""
    return {status: {"$ref": f"#/components/responses/{_REASONS[status]}"} for status in statuses}


def operation_id(route: APIRoute) -> str:
    """The endpoint's name in camelCase: `create_deal` is `createDeal`."""
    head, *rest = route.name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def build_document(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    document = get_openapi(
        title=TITLE,
        version=app.version,
        openapi_version="3.1.0",
        summary=SUMMARY,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        contact={"name": "The operator of this service", "url": "https://example.com/support"},
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": "/", "description": "This server; production or development as it was set up."}],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _add_schemas(schemas)
    components["responses"] = {_REASONS[status]: _response(status) for status in _REASONS}
    components["headers"] = _HEADERS
    # The scheme for tokens pasted by hand stands beside OAuth2's; generators take the first.
    document["security"] = []
    for path in document["paths"].values():
        for operation in path.values():
            _finish_operation(operation)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _clean(document)
    return document


def dump(document: dict[str, Any]) -> str:
    """The document as it is committed: sorted and byte-stable."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _add_schemas(schemas: dict[str, Any]) -> None:
    for model in (Problem, FieldProblem):
        schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema


def _response(status: int) -> dict[str, Any]:
    kinds = [kind for kind in KINDS.values() if kind.status == status]
    return {
        "description": " / ".join(dict.fromkeys(kind.title for kind in kinds)) + ".",
        "headers": _headers("X-Request-ID", *_HEADERS_OF.get(status, ())),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
            }
        },
    }


def _example(kind: Kind) -> dict[str, Any]:
    named = kind.code == "validation_error"
    return {
        "type": f"/problems/{kind.type}",
        "title": kind.title,
        "status": kind.status,
        "detail": "One field is not valid: dealstage." if named else kind.detail,
        "error": "ratelimit exceeded 120 per 1 minute" if kind.status == 429 else kind.title,
        "code": kind.code,
        "details": [{"field": "dealstage", "message": "is not a stage of this pipeline"}] if named else [],
        "request_id": _EXAMPLE_REQUEST_ID,
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _finish_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # Our validation answers 400, which each operation declares.
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]
    responses["500"] = {"$ref": "#/components/responses/InternalServerError"}
    if "requestBody" in operation:
        for status in (413, 415):
            responses[str(status)] = {"$ref": f"#/components/responses/{_REASONS[status]}"}
    for status, response in responses.items():
        if "$ref" in response:
            responses[status] = {"$ref": response["$ref"]}
        else:
            response.setdefault("headers", {}).update(_headers("X-Request-ID"))
    if operation.get("security"):
        operation["security"] = [{"oauth2": []}, {"bearerAuth": []}]
        if "RateLimit-Policy" in _HEADERS:
            for status, response in responses.items():
                if status.startswith("2") and "$ref" not in response:
                    response["headers"].update(_headers("RateLimit-Policy"))


def _clean(node: Any) -> None:
    """Drop derived titles, and give integers the bounds and the format that generators want."""
    if isinstance(node, list):
        for each in node:
            _clean(each)
        return
    if not isinstance(node, dict):
        return
    if node.get("type") == "integer":
        node.setdefault("format", "int32")
        for bound in ("minimum", "maximum"):
            if isinstance(node.get(bound), float):
                node[bound] = int(node[bound])
    for key, value in node.items():
        # Under `properties` the keys are names of fields, and a field may be called title.
        if key == "properties":
            for schema in value.values():
                schema.pop("title", None)
                _clean(schema)
            continue
        if key == "schema" and isinstance(value, dict):
            value.pop("title", None)
        if key == "schemas":
            for schema in value.values():
                schema.pop("title", None)
        _clean(value)


def lazy_document(app: FastAPI) -> Callable[[], bytes]:
    """What gives the document's bytes, built when it is first asked for."""
    built: list[bytes] = []

    def document() -> bytes:
        if not built:
            built.append(dump(build_document(app)).encode())
        return built[0]

    return document
