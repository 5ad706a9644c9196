"""The OpenAPI document: committed, current, valid, and complete."""

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

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "openapi.json"
RELEASED = ROOT / "contract" / "released" / "openapi.json"
SCHEMAS = ROOT / "src" / "crm_api" / "schemas"
LONGEST_SUMMARY = 80


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All objects of the document but examples, each with its place."""
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from nodes(each, f"{place}/{index}")
    if isinstance(node, dict):
        yield place, node
        for key, each in node.items():
            if key not in {"example", "examples", "default"}:
                yield from nodes(each, f"{place}/{key}")


def schemas_of(document: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    """The named schemas that requests (`requestBody`) or answers (`responses`) are made of."""
    schemas = document["components"]["schemas"]
    found: set[str] = set()
    waiting: list[Any] = [operation.get(part, {}) for _, _, operation in operations().values()]
    if part == "responses":
        waiting.append(document["components"]["responses"])
    while waiting:
        for _, node in nodes(waiting.pop()):
            name = str(node.get("$ref", "")).partition("/schemas/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return {name: schemas[name] for name in sorted(found)}


def test_the_committed_document_is_current(document: dict[str, Any]) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == dump(document), "run: make openapi"


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_operation_ids_are_unique_and_fit_to_be_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9]*", name) for name in names)


def test_schemas_are_named_in_pascal_case_and_once(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][a-zA-Z0-9]*", name), name
        assert not name.endswith(("Input", "Output")), name


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    used = set()
    for name, (_, _, operation) in operations().items():
        assert 0 < len(operation["summary"]) <= LONGEST_SUMMARY, name
        assert operation["description"].startswith(operation["summary"]), name
        (tag,) = operation["tags"]
        assert tags[tag], name
        used.add(tag)
    assert list(tags) == list(
        dict.fromkeys(operation["tags"][0] for _, _, operation in operations().values())
    )


def test_every_operation_documents_its_errors_one_by_one(document: dict[str, Any]) -> None:
    for name, (_, path, operation) in operations().items():
        statuses = set(operation["responses"])
        assert all(re.fullmatch(r"[2-5]\d\d", status) for status in statuses), name
        if not path.startswith("/api/"):
            continue
        assert {"429", "500", "503"} <= statuses, name
        body = operation.get("requestBody", {}).get("content", {})
        assert ("413" in statuses) == bool(body), name
        assert ("415" in statuses) == ("application/json" in body), name
        assert ("404" in statuses) == ("{id}" in path), name
        parameters = {each["name"] for each in operation.get("parameters", ())}
        assert ("422" in statuses) == ("Idempotency-Key" in parameters), name
        assert ("412" in statuses) == ("If-Match" in parameters), name
        assert ("401" in statuses) == (
            bool(operation.get("security")) or name in {"logIn", "refreshToken"}
        ), name


def test_the_document_says_who_offers_it_and_on_what_terms(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    info = document["info"]
    assert info["license"] == {"name": "MIT", "identifier": "MIT"}
    assert info["summary"]
    assert info["description"]
    assert info["contact"]["url"]
    assert info["termsOfService"]
    assert all(server["description"] for server in document["servers"])


def test_who_may_call_is_said_of_every_operation(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["oauth2"]["flows"]["password"]["refreshUrl"]
    assert document["security"] == []
    for name, (_, _, operation) in operations().items():
        # Some generators take the first scheme alone, and only of OAuth2 do all know how to send the token.
        assert operation.get("security", []) in ([], [{"oauth2": []}, {"bearerAuth": []}]), name


def test_nothing_in_it_stops_a_generator(document: dict[str, Any]) -> None:
    """What was seen to fail or to lose its type, and titles, which become the names of classes."""
    refused = {"patternProperties", "propertyNames", "prefixItems", "itemSchema", "nullable"}
    for place, node in nodes(document):
        if place.endswith("/properties"):
            continue  # names of fields
        assert not refused & node.keys(), place
        assert node.get("format") != "int64", place
        if "/schema" in place:
            assert "title" not in node, place


def test_every_key_of_an_answer_is_always_there(document: dict[str, Any]) -> None:
    for name, schema in schemas_of(document, "responses").items():
        assert schema.get("required", []) == list(schema.get("properties", {})), name


def test_a_request_takes_no_key_that_it_does_not_name(document: dict[str, Any]) -> None:
    schemas = schemas_of(document, "requestBody")
    # RFC 6749, section 3.2: parameters that are not known are ignored.
    assert {name for name, schema in schemas.items() if schema.get("additionalProperties") is not False} == {
        "TokenGrant"
    }
    assert not schemas.keys() & schemas_of(document, "responses").keys(), "generators would split it in two"


def test_what_is_left_out_is_not_null(document: dict[str, Any]) -> None:
    """Only a change takes null, which clears; and no parameter does."""
    for name, schema in schemas_of(document, "requestBody").items():
        for field, inner in schema["properties"].items():
            nullable = any(branch.get("type") == "null" for branch in inner.get("anyOf", ()))
            assert not nullable or name.endswith("Update"), (name, field)
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            assert '"null"' not in json.dumps(parameter["schema"]), (name, parameter["name"])


def test_every_value_has_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, inner in schema.get("properties", {}).items():
            assert any(
                each.get("examples") or "$ref" in each or each.get("type") in {"array", "object"}
                for each in (inner, *inner.get("anyOf", ()))
                if each is inner or each.get("type") != "null"
            ), (name, field)


def test_what_the_code_says_of_a_field_stands_in_the_document(document: dict[str, Any]) -> None:
    """Pydantic drops a field's docstring where its type has a description of its own."""
    found = 0
    for file in SCHEMAS.glob("*.py"):
        for model in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(model, ast.ClassDef) or model.name not in document["components"]["schemas"]:
                continue
            for field, after in zip(model.body, model.body[1:], strict=False):
                if not isinstance(field, ast.AnnAssign) or not isinstance(after, ast.Expr):
                    continue
                assert isinstance(field.target, ast.Name)
                assert isinstance(after.value, ast.Constant)
                shown = document["components"]["schemas"][model.name]["properties"][field.target.id]
                assert shown["description"] == after.value.value, (model.name, field.target.id)
                found += 1
    assert found


def test_every_error_of_the_table_stands_at_an_operation_and_in_the_introduction(
    document: dict[str, Any],
) -> None:
    shown = {
        code
        for _, _, operation in operations().values()
        for response in documented_responses(operation).values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    # The only one that no operation answers with: the request reached none.
    assert shown == set(ERROR_TYPES) - {"method_not_allowed"}
    assert all(f"`{code}`" in document["info"]["description"] for code in ERROR_TYPES)


def test_every_answer_has_a_description_headers_and_an_example(document: dict[str, Any]) -> None:
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


def test_every_example_is_what_its_schema_allows(document: dict[str, Any]) -> None:
    def check(content: dict[str, Any], name: str) -> None:
        for key, example in content["examples"].items():
            assert not schema_errors(example["value"], content["schema"]), (name, key)

    for name, (_, _, operation) in operations().items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            check(content, name)
        for response in documented_responses(operation).values():
            for content in response.get("content", {}).values():
                check(content, name)


def test_every_string_number_and_list_is_bounded(document: dict[str, Any]) -> None:
    parts = {"schemas": document["components"]["schemas"], "headers": document["components"]["headers"]}
    for place, node in nodes(parts | {"paths": document["paths"]}):
        # Under `properties` stand names of fields, and one is called type.
        kind = node["type"] if isinstance(node.get("type"), str) else None
        if kind == "string":
            own = node.get("format") in {"date", "date-time", "uuid"}
            assert own or node.keys() & {"maxLength", "enum", "const"}, place
            assert node.keys() & {"pattern", "format", "enum", "const"}, place
        if kind in {"integer", "number"}:
            assert {"minimum", "maximum"} <= node.keys(), place
        if kind == "array":
            assert "maxItems" in node, place


def test_every_path_has_its_place_for_newcomers(document: dict[str, Any]) -> None:
    assert tuple(document["paths"]) == PATHS


def test_parameters_say_what_they_are(document: dict[str, Any]) -> None:
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


def test_no_released_schema_is_gone_without_a_new_version(document: dict[str, Any]) -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    if released["info"]["version"] == document["info"]["version"]:
        gone = released["components"]["schemas"].keys() - document["components"]["schemas"].keys()
        assert not gone, "every SDK has these names; contract/gate.mjs holds the rest of what is released"


def test_one_title_for_each_type() -> None:
    titles: dict[str, set[str]] = {}
    for kind in ERROR_TYPES.values():
        titles.setdefault(kind.type, set()).add(kind.title)
    assert all(len(each) == 1 for each in titles.values())


def test_every_error_of_hubspots_has_its_row() -> None:
    classes = {
        each
        for each in vars(hubspot_errors).values()
        if isinstance(each, type) and issubclass(each, hubspot_errors.HubSpotError)
    }
    assert classes == set(_FROM_HUBSPOT)
    assert not {ERROR_TYPES[code].status for code in _FROM_HUBSPOT.values()} & {401, 429}


def test_troubleshooting_names_every_code() -> None:
    page = (COMMITTED.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert not [code for code in ERROR_TYPES if f"`{code}`" not in page]
