"""The OpenAPI document: committed, current, valid, and complete."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from crm_api.errors import _FROM_HUBSPOT, KINDS
from crm_api.hubspot import errors as hubspot_errors
from crm_api.main import create_app
from crm_api.openapi import build_document, dump
from crm_api.settings import Settings

COMMITTED = Path(__file__).parents[1] / "openapi.json"


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


def test_every_error_of_the_table_stands_in_the_document(document: dict[str, Any]) -> None:
    shown = {
        code
        for response in document["components"]["responses"].values()
        for code in response["content"]["application/problem+json"]["examples"]
    }
    assert shown == set(KINDS)


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
