"""The OpenAPI document: what FastAPI derives from the code, made exact and fit for generators."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from crm_api.errors import ERROR_TYPES, ErrorType
from crm_api.openapi.examples import SAID_BY, error_examples, request_examples, success_example
from crm_api.openapi.headers import EVERY_ANSWER, HEADERS, PROBLEM_HEADERS
from crm_api.schemas.common import NO_NUL
from crm_api.schemas.problems import MEDIA_TYPE, FieldProblem, Problem

TITLE: Final = "crm-api"
SUMMARY: Final = "Your deals and tickets in the company's CRM."
DESCRIPTION: Final = """Register, log in, open deals, raise tickets on them and read them back.

* A success is `{"message", "data"}`; an error is `application/problem+json`, and `code` says which.
* Every answer has an `X-Request-ID`; name it when you ask for help.
* Send `Authorization: Bearer <access_token>`; `POST /api/login` gives one, `POST /api/token/refresh` renews it.
* A list has `results` and a `next_cursor`: send it as `cursor` for the next page, until it is null.
* Send an `Idempotency-Key` with what creates; sent again with the same key, it creates nothing more.
* An operation lists the errors that are its own. Any path may also answer 404 where there is nothing, and 405 with
  `Allow` where there is, but not for this method.

<details><summary>All errors</summary>

| Status | `code` | `title` | What it means |
|---|---|---|---|
"""
TAGS: Final = [
    {"name": "Account", "description": "Register, log in, and look after your account."},
    {
        "name": "Schema",
        "description": "What forms offer: pipelines with their stages, and the fields of records.",
    },
    {"name": "Deals", "description": "Open deals and follow them."},
    {"name": "Tickets", "description": "Raise tickets on your deals and follow them."},
    {
        "name": "Overview",
        "description": "Contacts with all their deals and tickets, and one search for everything.",
    },
    {
        "name": "Contacts",
        "description": "People in the CRM; a customer's own contact, or for staff all of them.",
    },
    {"name": "Operations", "description": "For probes; not for front ends."},
]
# In the order in which a newcomer needs them; Swagger UI and generated references keep it.
PATHS: Final = (
    "/api/register",
    "/api/email/verify",
    "/api/email/verify/resend",
    "/api/login",
    "/api/token",
    "/api/token/refresh",
    "/api/me",
    "/api/me/password",
    "/api/password/forgot",
    "/api/password/reset",
    "/api/logout",
    "/api/me/export",
    "/api/pipelines",
    "/api/properties/{object_type}",
    "/api/deals",
    "/api/deals/{id}",
    "/api/deals/search",
    "/api/tickets",
    "/api/tickets/{id}",
    "/api/tickets/search",
    "/api/new-crm-objects",
    "/api/search",
    "/api/contacts",
    "/api/contacts/{id}",
    "/api/contacts/search",
    "/healthz",
    "/readyz",
)
_BEARER_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token of `POST /api/login`, a JWT used as RFC8725 advises.",
}
# Operations as a newcomer needs them, a record's fields with its id first, and first the example that is tried first
# and the scheme that one logs in with.
_IN_ORDER: Final = frozenset({"paths", "properties", "examples", "securitySchemes"})
_METHODS: Final = ("get", "post", "put", "patch", "delete")
# HubSpot keeps up to 65,536 characters in a string property; where nothing is said, that is the bound.
# https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
_LONGEST_TEXT: Final = 65_536

# The errors that only these operations answer with; see `_is_of` for those that follow from the operation's shape.
_ONLY: Final[dict[str, frozenset[str]]] = {
    "wrong_password": frozenset({"changePassword"}),
    "invalid_grant": frozenset({"createToken"}),
    "invalid_request": frozenset({"createToken"}),
    "unsupported_grant_type": frozenset({"createToken"}),
    "invalid_link": frozenset({"verifyEmail", "resetPassword"}),
    "invalid_credentials": frozenset({"logIn"}),
    "registration_closed": frozenset({"register", "verifyEmail"}),
    "user_exists": frozenset({"register", "verifyEmail"}),
    "contact_exists": frozenset({"createContact", "updateContact"}),
    "contact_missing": frozenset({"createDeal", "createTicket"}),
    "outcome_unknown": frozenset({"register", "verifyEmail", "createContact", "createDeal", "createTicket"}),
}


# What can be done with the record that an answer holds; its id is what they take.
_LINKS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "createDeal": ("deal", ("getDeal", "updateDeal", "archiveDeal", "createTicket")),
    "createTicket": ("ticket", ("getTicket", "updateTicket", "archiveTicket")),
    "createContact": ("contact", ("getContact", "updateContact")),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an operation may answer with, for its `responses`."""
    return {status: {"description": "", "x-problem": True} for status in statuses}


def operation_id(route: APIRoute) -> str:
    """The endpoint's name in camelCase: `create_deal` is `createDeal`."""
    head, *rest = route.name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def build_document(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    settings = app.state.settings
    document = get_openapi(
        title=TITLE,
        version=app.version,
        openapi_version="3.1.0",
        summary=SUMMARY,
        description=DESCRIPTION + "".join(_row(kind) for kind in ERROR_TYPES.values()) + "\n</details>\n",
        routes=app.routes,
        tags=TAGS,
        contact={"name": "Support", "url": settings.support_url},
        terms_of_service=settings.terms_url,
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[
            {
                "url": "/",
                "description": "The service that serves this document, in production or development.",
                "x-internal": False,
            }
        ],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _add_schemas(schemas)
    components["headers"] = HEADERS
    # For tokens pasted by hand, beside OAuth2's; generators take the first, and want OAuth2.
    components["securitySchemes"]["bearerAuth"] = _BEARER_SCHEME
    document["security"] = []
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for schema in schemas.values():
        _mend(schema)
    document["paths"] = dict(sorted(document["paths"].items(), key=_place))
    for path, item in document["paths"].items():
        document["paths"][path] = {method: item[method] for method in _METHODS if method in item}
        for operation in item.values():
            _finish_operation(operation, document)
    return document


def dump(document: dict[str, Any]) -> str:
    """The document as it is committed: byte-stable, and sorted but for what readers need in an order of its own."""
    return json.dumps(_sorted(document, ""), indent=2, ensure_ascii=False) + "\n"


def _sorted(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_sorted(each, key) for each in node]
    if not isinstance(node, dict) or key == "value":
        return node
    # A path's methods stand under it.
    in_order = key in _IN_ORDER or key.startswith("/")
    return {name: _sorted(node[name], name) for name in (node if in_order else sorted(node))}


def _place(path_item: tuple[str, Any]) -> int:
    return PATHS.index(path_item[0]) if path_item[0] in PATHS else len(PATHS)


def _row(kind: ErrorType) -> str:
    return f"| {kind.status} | `{kind.code}` | {kind.title} | {kind.detail} |\n"


def _add_schemas(schemas: dict[str, Any]) -> None:
    for model in (Problem, FieldProblem):
        schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema


def _finish_operation(operation: dict[str, Any], document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    operation["summary"] = _summary(operation["description"])
    for parameter in operation.get("parameters", ()):
        _mend(parameter["schema"])
        # It would stand there twice.
        described = parameter["schema"].pop("description", "")
        parameter.setdefault("description", described)
    responses = operation["responses"]
    # Our validation answers 400, which each operation declares.
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]
    responses["500"] = {"x-problem": True}
    if "requestBody" in operation:
        responses["413"] = {"x-problem": True}
        # A form that is none lacks its parameters, which is a 400 (RFC 6749, section 5.2).
        if "application/json" in operation["requestBody"]["content"]:
            responses["415"] = {"x-problem": True}
        for content in operation["requestBody"]["content"].values():
            schema = content["schema"]
            _mend(schema)
            content["examples"] = request_examples(schema, schemas)
    if operation.get("security"):
        operation["security"] = [{"oauth2": []}, {"bearerAuth": []}]
    for status, response in responses.items():
        if response.get("x-problem"):
            responses[status] = _problem(operation, int(status), document["components"])
        else:
            _finish_success(operation, int(status), response, schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _finish_success(
    operation: dict[str, Any], status: int, response: dict[str, Any], schemas: dict[str, Any]
) -> None:
    names = list(EVERY_ANSWER)
    if operation["tags"] != ["Operations"]:
        names.append("RateLimit-Policy")
    if _takes(operation, "Idempotency-Key"):
        names.append("Idempotency-Replayed")
    if status == 503:
        names.append("Retry-After")
    if status == 201 and operation["operationId"] != "register":
        names.append("Location")
        response["links"] = _links(operation["operationId"])
    headers = response.setdefault("headers", {})
    headers.update(_headers(*names))
    for content in response.get("content", {}).values():
        schema = content["schema"]
        _mend(schema)
        content["examples"] = success_example(operation["operationId"], status, schema, schemas)
        name = schema.get("$ref", "").rpartition("/")[2]
        if response["description"] == "Successful Response" and name:
            response["description"] = schemas[name]["description"].splitlines()[0]
    if response["description"] == "Successful Response":
        response["description"] = "Done; the answer has no body."


def _links(name: str) -> dict[str, Any]:
    record, others = _LINKS[name]
    return {
        other: {
            "operationId": other,
            "parameters": {"id": f"$response.body#/data/{record}/id"},
            "description": f"Takes the id of this {record}.",
        }
        for other in others
    }


def _problem(operation: dict[str, Any], status: int, components: dict[str, Any]) -> dict[str, Any]:
    """The answer with a status; one that several operations share is a component, named for its codes."""
    kinds = [kind for kind in ERROR_TYPES.values() if kind.status == status and _is_of(operation, kind)]
    headers = PROBLEM_HEADERS.get(status, ("RateLimit-Policy",))
    response = {
        "description": " / ".join(dict.fromkeys(kind.title for kind in kinds)) + ".",
        "headers": _headers(*EVERY_ANSWER, *headers),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": error_examples(operation, kinds, components["schemas"]),
            }
        },
    }
    if status == 400 or any((operation["operationId"], kind.code) in SAID_BY for kind in kinds):
        return response  # is this operation's alone
    name = "Or".join("".join(word.capitalize() for word in kind.code.split("_")) for kind in kinds)
    components.setdefault("responses", {})[name] = response
    return {"$ref": f"#/components/responses/{name}"}


def _is_of(operation: dict[str, Any], kind: ErrorType) -> bool:
    """Whether the operation answers with this kind of error."""
    name, code = operation["operationId"], kind.code
    if code in _ONLY:
        return name in _ONLY[code]
    body = operation.get("requestBody", {}).get("content", {})
    searches = "RecordSearch" in json.dumps(body)
    return {
        "malformed_body": "application/json" in body,
        "invalid_cursor": searches or _takes(operation, "cursor"),
        "invalid_token": bool(operation.get("security")) or name == "refreshToken",
        "forbidden": bool(operation.get("security")),
        "request_in_progress": _takes(operation, "Idempotency-Key"),
        "hubspot_unavailable": "502" in operation["responses"],
    }.get(code, True)


def _takes(operation: dict[str, Any], parameter: str) -> bool:
    return any(each["name"] == parameter for each in operation.get("parameters", ()))


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _summary(description: str) -> str:
    """The first sentence; a test holds that it fits a line."""
    return re.split(r"\.\s|\.$|\n", description, maxsplit=1)[0]


def _mend(schema: dict[str, Any]) -> None:
    """Drop derived titles, and give each value the bounds, format and example that generators want."""
    for each in _walk(schema):
        each.pop("title", None)
        # No model is both sent and answered with; generators would split it in two.
        each.pop("writeOnly", None)
        kind = each.get("type")
        if kind == "string":
            _mend_string(each)
        elif kind in {"integer", "number"}:
            _mend_number(each)
        if "enum" in each:
            each.setdefault("examples", [each["enum"][0]])
        elif "const" in each:
            each.setdefault("examples", [each["const"]])
        elif kind == "boolean":
            each.setdefault("examples", [each.get("default", False)])
        elif kind == "null":
            each.setdefault("examples", [None])
        elif each.get("format") == "password":
            each.setdefault("examples", ["correct horse battery"])


def _mend_string(schema: dict[str, Any]) -> None:
    if schema.keys() & {"enum", "const"}:
        for bound in ("maxLength", "pattern"):
            schema.pop(bound, None)
        return
    # A date's own format bounds it, and some generators choke on a length beside it.
    if schema.get("format") in {"date", "date-time", "uuid"}:
        return
    schema.setdefault("maxLength", _LONGEST_TEXT)
    if "pattern" in schema:
        # Python lets these be escaped, ECMA 262 with the u flag does not.
        schema["pattern"] = re.sub(r"""\\(["'#&~])""", r"\1", schema["pattern"])
    elif "format" not in schema:
        schema["pattern"] = NO_NUL


def _mend_number(schema: dict[str, Any]) -> None:
    if schema["type"] == "integer":
        schema.setdefault("format", "int32")
    for bound in ("minimum", "maximum"):
        if isinstance(schema.get(bound), float) and schema[bound].is_integer():
            schema[bound] = int(schema[bound])


def _walk(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and those inside it; the keys under `properties` are names of fields, one may be called title."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _walk(inner)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from _walk(schema[keyword])
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(keyword, ()):
            yield from _walk(inner)


def lazy_document(app: FastAPI) -> Callable[[], bytes]:
    """What gives the document's bytes, built when it is first asked for."""
    built: list[bytes] = []

    def document() -> bytes:
        if not built:
            built.append(dump(build_document(app)).encode())
        return built[0]

    return document
