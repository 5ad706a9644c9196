"""The OpenAPI document: committed, current, valid, and complete."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from crm_api.errors import _FROM_HUBSPOT, KINDS
from crm_api.hubspot import errors as hubspot_errors
from crm_api.main import create_app
from crm_api.openapi import PATHS, build_document, dump
from crm_api.settings import Settings

COMMITTED = Path(__file__).parents[1] / "openapi.json"
RELEASED = Path(__file__).parents[1] / "contract" / "released" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")
    return build_document(create_app(settings))


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_the_committed_document_is_current(document: dict[str, Any]) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == dump(document), "run: make openapi"


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_operation_ids_are_unique_and_fit_to_be_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9]*", name) for name in names)


def test_schemas_are_named_in_pascal_case_and_once(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][a-zA-Z0-9]*", name), name
        assert not name.endswith(("Input", "Output")), name


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert len(operation["tags"]) == 1, name


def test_every_operation_under_api_documents_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if " /api/" in name:
            assert {"429", "500", "503"} <= set(operation["responses"]), name
            assert "422" not in operation["responses"] or "Idempotency" in json.dumps(operation), name
            secured = bool(operation.get("security"))
            assert (
                ("401" in operation["responses"]) == secured or name == "POST /api/login" or "refresh" in name
            ), name


def answers(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The answers of an operation by status, components resolved."""
    components = document["components"]["responses"]
    return {
        status: components[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def test_every_error_of_the_table_stands_at_an_operation_and_in_the_introduction(
    document: dict[str, Any],
) -> None:
    shown = {
        code
        for _, operation in operations(document)
        for response in answers(document, operation).values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    # The only one that no operation answers with: the request reached none.
    assert shown == set(KINDS) - {"method_not_allowed"}
    assert all(f"`{code}`" in document["info"]["description"] for code in KINDS)


def test_every_answer_has_a_description_headers_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in answers(document, operation).items():
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
        schema = {**content["schema"], "components": document["components"]}
        validator = Draft202012Validator(schema)
        for key, example in content["examples"].items():
            problems = [error.message for error in validator.iter_errors(example["value"])]
            assert not problems, (name, key, problems)

    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            check(content, name)
        for response in answers(document, operation).values():
            for content in response.get("content", {}).values():
                check(content, name)


def test_every_string_number_and_list_is_bounded(document: dict[str, Any]) -> None:
    def look(node: Any, place: str) -> None:
        if isinstance(node, list):
            for index, each in enumerate(node):
                look(each, f"{place}/{index}")
        if not isinstance(node, dict):
            return
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
        for key, each in node.items():
            if key not in {"example", "examples", "default"}:
                look(each, f"{place}/{key}")

    look(document["components"]["schemas"], "schemas")
    look(document["components"]["headers"], "headers")
    look(document["paths"], "paths")


def test_every_path_has_its_place_for_newcomers(document: dict[str, Any]) -> None:
    assert tuple(document["paths"]) == PATHS


def test_parameters_say_what_they_are(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


def test_no_released_schema_is_gone_without_a_new_version(document: dict[str, Any]) -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    if released["info"]["version"] == document["info"]["version"]:
        gone = released["components"]["schemas"].keys() - document["components"]["schemas"].keys()
        assert not gone, "every SDK has these names; contract/gate.mjs holds the rest of what is released"


def test_one_title_for_each_type() -> None:
    titles: dict[str, set[str]] = {}
    for kind in KINDS.values():
        titles.setdefault(kind.type, set()).add(kind.title)
    assert all(len(each) == 1 for each in titles.values())


def test_every_error_of_hubspots_has_its_row() -> None:
    classes = {
        each
        for each in vars(hubspot_errors).values()
        if isinstance(each, type) and issubclass(each, hubspot_errors.HubSpotError)
    }
    assert classes == set(_FROM_HUBSPOT)
    assert not {KINDS[code].status for code in _FROM_HUBSPOT.values()} & {401, 429}


def test_troubleshooting_names_every_code() -> None:
    page = (COMMITTED.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert not [code for code in KINDS if f"`{code}`" not in page]
