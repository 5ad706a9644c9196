"""The OpenAPI document: up to date, valid and complete."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from tests.support.openapi import documented_responses, openapi_document, operations, schema_errors

from crm_api.errors import _FROM_HUBSPOT, ERROR_TYPES
from crm_api.hubspot import errors as hubspot_errors
from crm_api.openapi.document import PATHS, dump
from crm_api.schemas.common import NO_NUL

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "openapi.json"
RELEASED = ROOT / "contract" / "released" / "openapi.json"
SCHEMAS = ROOT / "src" / "crm_api" / "schemas"
MAX_SUMMARY_LENGTH = 60


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def nodes(node: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all objects of the document except examples, with their JSON pointers."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from nodes(item, f"{pointer}/{index}")
    if isinstance(node, dict):
        yield pointer, node
        for key, value in node.items():
            if key not in {"example", "examples", "default"}:
                yield from nodes(value, f"{pointer}/{key}")


def schemas_of(document: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    """Return the schemas that `requestBody` or `responses` of the operations refer to."""
    schemas = document["components"]["schemas"]
    names: set[str] = set()
    pending: list[Any] = [operation.get(part, {}) for _, _, operation in operations().values()]
    if part == "responses":
        pending.append(document["components"]["responses"])
    while pending:
        for _, node in nodes(pending.pop()):
            name = str(node.get("$ref", "")).partition("/schemas/")[2]
            if name and name not in names:
                names.add(name)
                pending.append(schemas[name])
    return {name: schemas[name] for name in sorted(names)}


def test_committed_openapi_json_is_up_to_date(document: dict[str, Any]) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == dump(document), "run: make openapi"


def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_operation_ids_are_unique_camel_case_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9]*", name) for name in names)


def test_schema_names_are_pascal_case_without_input_output(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][a-zA-Z0-9]*", name), name
        assert not name.endswith(("Input", "Output")), name


def test_every_operation_has_summary_description_and_tag(document: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    used = set()
    for name, (_, _, operation) in operations().items():
        assert 0 < len(operation["summary"]) <= MAX_SUMMARY_LENGTH, name
        assert not re.search(r"[.!?:]$", operation["summary"]), name
        assert operation["description"], name
        assert operation["summary"] not in operation["description"], name
        (tag,) = operation["tags"]
        assert tags[tag], name
        used.add(tag)
    assert list(tags) == list(
        dict.fromkeys(operation["tags"][0] for _, _, operation in operations().values())
    )


def test_error_statuses_match_parameters_body_and_security(document: dict[str, Any]) -> None:
    for name, (_, path, operation) in operations().items():
        statuses = set(operation["responses"])
        assert all(re.fullmatch(r"[2-5]\d\d", status) for status in statuses), name
        if not path.startswith("/api/"):
            continue
        assert {"429", "500", "503"} <= statuses, name
        body = operation.get("requestBody", {}).get("content", {})
        assert ("413" in statuses) == bool(body), name
        assert ("415" in statuses) == ("application/json" in body), name
        # A replay of `createDeal` is 404 if the caller may not see the deal any more.
        assert ("404" in statuses) == ("{id}" in path or name == "createDeal"), name
        parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert ("422" in statuses) == ("Idempotency-Key" in parameters), name
        assert ("412" in statuses) == ("If-Match" in parameters), name
        assert ("401" in statuses) == (
            bool(operation.get("security")) or name in {"logIn", "refreshToken"}
        ), name


def test_info_has_licence_contact_terms_and_servers(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    info = document["info"]
    assert info["license"] == {"name": "MIT", "identifier": "MIT"}
    assert info["summary"]
    assert info["description"]
    assert info["contact"]["url"]
    assert info["termsOfService"]
    assert all(server["description"] for server in document["servers"])


def test_secured_operations_list_oauth2_before_bearer(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["refreshUrl"]
    assert document["security"] == []
    for name, (_, _, operation) in operations().items():
        # Some generators use only the first scheme, and all of them can send a token of OAuth2.
        schemes: list[dict[str, list[str]]] = [{"oauth2": []}, {"bearerAuth": []}]
        optional = [*schemes, {}]
        allowed = ([], schemes) if name != "listProperties" else (optional,)
        assert operation.get("security", []) in allowed, name


def test_document_has_no_keyword_that_breaks_sdk_generators(document: dict[str, Any]) -> None:
    """SDK generators fail on these keywords or lose types, and make class names of titles."""
    refused = {"patternProperties", "propertyNames", "prefixItems", "itemSchema", "nullable"}
    for pointer, node in nodes(document):
        if pointer.endswith("/properties"):
            continue  # its keys are field names
        assert not refused & node.keys(), pointer
        assert node.get("format") != "int64", pointer
        if "/schema" in pointer:
            assert "title" not in node, pointer


def test_response_schemas_require_every_key(document: dict[str, Any]) -> None:
    for name, schema in schemas_of(document, "responses").items():
        assert schema.get("required", []) == list(schema.get("properties", {})), name


def test_request_schemas_except_token_grant_refuse_unknown_keys(document: dict[str, Any]) -> None:
    schemas = schemas_of(document, "requestBody")
    # OAuth2 token requests ignore unknown parameters (RFC 6749, section 3.2).
    assert {name for name, schema in schemas.items() if schema.get("additionalProperties") is not False} == {
        "TokenGrant"
    }
    assert not schemas.keys() & schemas_of(document, "responses").keys(), (
        "generators split a model that is both sent and returned"
    )


def test_null_is_never_the_only_type_of_a_schema(document: dict[str, Any]) -> None:
    """Generators import a missing class `Null` for such a schema."""
    for pointer, node in nodes(document):
        assert node.get("type") != "null" or "/anyOf/" in pointer, pointer


def test_no_schema_is_a_union_of_scalars(document: dict[str, Any]) -> None:
    """Some generators make an empty type of a union of scalars, and numbered types of a nullable string."""
    scalars = {"string", "number", "integer", "boolean"}
    for pointer, node in nodes(document):
        branches = [branch for branch in node.get("anyOf", ()) if isinstance(branch, dict)]
        types = [branch["type"] for branch in branches if branch.get("type") in scalars]
        assert len(types) < 2, pointer
        if isinstance(node.get("type"), list) and not pointer.endswith("/properties"):
            assert node["type"] in (["string", "null"], ["object", "null"]), pointer
        if types == ["string"] and len(branches) == 2:
            assert any("enum" in branch for branch in branches), pointer


def test_names_differ_in_more_than_case(document: dict[str, Any]) -> None:
    """Generators make files and types of these names; some file systems ignore the case."""
    suffixes = ("", "Request", "Response", "Data", "Body", "Params", "Error", "Errors", "Headers")
    names = [
        *document["components"]["schemas"],
        *(name + suffix for name in operations() for suffix in suffixes),
    ]
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(name.casefold(), set()).add(name)
    assert [group for group in spellings.values() if len(group) > 1] == []


def test_problem_code_lists_the_error_codes(document: dict[str, Any]) -> None:
    code = document["components"]["schemas"]["Problem"]["properties"]["code"]
    assert code["enum"] == list(ERROR_TYPES)
    assert "unknown code" in code["description"]


def test_list_examples_include_the_last_page(document: dict[str, Any]) -> None:
    checked = 0
    for name, (_, _, operation) in operations().items():
        content = documented_responses(operation).get("200", {}).get("content", {}).get("application/json")
        if content is None or '"next_' not in json.dumps(content["examples"]):
            continue
        values = [json.dumps(example["value"]) for example in content["examples"].values()]
        assert any('"next_cursor": null' in value or '"next_after": null' in value for value in values), name
        checked += 1
    assert checked == 8


def test_only_update_schemas_accept_null(document: dict[str, Any]) -> None:
    """Null clears a field; no parameter accepts it."""
    for name, schema in schemas_of(document, "requestBody").items():
        for field, inner in schema["properties"].items():
            nullable = "null" in inner.get("type", ()) or any(
                branch.get("type") == "null" for branch in inner.get("anyOf", ())
            )
            assert not nullable or name.endswith("Update"), (name, field)
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            assert '"null"' not in json.dumps(parameter["schema"]), (name, parameter["name"])


def test_every_scalar_field_has_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, inner in schema.get("properties", {}).items():
            assert any(
                branch.get("examples") or "$ref" in branch or branch.get("type") in {"array", "object"}
                for branch in (inner, *inner.get("anyOf", ()))
                if branch is inner or branch.get("type") != "null"
            ), (name, field)


def test_field_docstrings_are_in_the_document(document: dict[str, Any]) -> None:
    checked = 0
    for file in SCHEMAS.glob("*.py"):
        for model in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(model, ast.ClassDef) or model.name not in document["components"]["schemas"]:
                continue
            for field, after in zip(model.body, model.body[1:], strict=False):
                if not isinstance(field, ast.AnnAssign) or not isinstance(after, ast.Expr):
                    continue
                assert isinstance(field.target, ast.Name)
                assert isinstance(after.value, ast.Constant)
                schema = document["components"]["schemas"][model.name]["properties"][field.target.id]
                assert schema["description"] == after.value.value, (model.name, field.target.id)
                checked += 1
    assert checked


def test_every_error_code_is_documented(
    document: dict[str, Any],
) -> None:
    documented = {
        code
        for _, _, operation in operations().values()
        for response in documented_responses(operation).values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    # A wrong method never reaches an operation.
    assert documented == set(ERROR_TYPES) - {"method_not_allowed"}
    assert all(f"`{code}`" in document["info"]["description"] for code in ERROR_TYPES)


def test_responses_have_description_headers_and_example(document: dict[str, Any]) -> None:
    for name, (_, _, operation) in operations().items():
        for status, response in documented_responses(operation).items():
            assert response["description"] not in {"", ".", "Successful Response"}, (name, status)
            assert "X-Request-ID" in response["headers"], (name, status)
            assert all(content["examples"] for content in response.get("content", {}).values()), (
                name,
                status,
            )
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], name


def test_examples_match_their_schemas(document: dict[str, Any]) -> None:
    def check(content: dict[str, Any], name: str) -> None:
        for key, example in content["examples"].items():
            assert not schema_errors(example["value"], content["schema"]), (name, key)

    for name, (_, _, operation) in operations().items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            check(content, name)
        for response in documented_responses(operation).values():
            for content in response.get("content", {}).values():
                check(content, name)


def test_strings_numbers_and_lists_are_bounded(document: dict[str, Any]) -> None:
    parts = {"schemas": document["components"]["schemas"], "headers": document["components"]["headers"]}
    response_schemas = tuple(f"/schemas/{name}/" for name in schemas_of(document, "responses"))
    for pointer, node in nodes(parts | {"paths": document["paths"]}):
        # The keys of `properties` are field names, and one of them is `type`.
        value_type = node["type"] if isinstance(node.get("type"), str | list) else None
        if value_type in ("string", ["string", "null"]):
            has_own_bound = node.get("format") in {"date", "date-time", "uuid"}
            assert has_own_bound or node.keys() & {"maxLength", "enum", "const"}, pointer
            # A response may have any text that HubSpot stores.
            in_response = pointer.startswith(response_schemas)
            assert in_response or node.keys() & {"pattern", "format", "enum", "const"}, pointer
            assert not in_response or node.get("pattern") != NO_NUL, pointer
        if value_type in ("integer", "number"):
            assert {"minimum", "maximum"} <= node.keys(), pointer
        if value_type == "array":
            assert "maxItems" in node, pointer


def test_document_lists_exactly_the_expected_paths_in_order(document: dict[str, Any]) -> None:
    assert tuple(document["paths"]) == PATHS


def test_every_parameter_has_a_description(document: dict[str, Any]) -> None:
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


def test_released_schema_names_exist_until_the_next_version(document: dict[str, Any]) -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    if released["info"]["version"] == document["info"]["version"]:
        missing = released["components"]["schemas"].keys() - document["components"]["schemas"].keys()
        assert not missing, "SDKs use these names; contract/gate.mjs checks the other changes"


def test_error_types_with_equal_type_uri_have_equal_titles() -> None:
    titles: dict[str, set[str]] = {}
    for error_type in ERROR_TYPES.values():
        titles.setdefault(error_type.type, set()).add(error_type.title)
    assert all(len(names) == 1 for names in titles.values())


def test_every_hubspot_error_class_is_mapped() -> None:
    classes = {
        value
        for value in vars(hubspot_errors).values()
        if isinstance(value, type) and issubclass(value, hubspot_errors.HubSpotError)
    }
    assert classes == set(_FROM_HUBSPOT)
    assert not {ERROR_TYPES[code].status for code in _FROM_HUBSPOT.values()} & {401, 429}


def test_troubleshooting_lists_every_error_code() -> None:
    page = (COMMITTED.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert not [code for code in ERROR_TYPES if f"`{code}`" not in page]
