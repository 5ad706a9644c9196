"""Messages of validation errors: plain words for every error that the schemas can raise."""

from collections.abc import Iterator
from typing import Any, Final, get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import iter_route_contexts
from pydantic_core.core_schema import ErrorType
from tests.support.callers import Caller, assert_problem
from tests.support.openapi import body_examples, operations
from tests.support.records import create_deal_as

from crm_api.errors import MESSAGES

# Errors of Pydantic by the type of the schema that raises them, and by the constraint.
_ERRORS: Final = {
    "str": {"string_type", "string_unicode"},
    "int": {"int_type", "int_parsing", "int_parsing_size", "int_from_float", "finite_number"},
    "bool": {"bool_type"},
    "list": {"list_type"},
    "dict": {"dict_type"},
    "model": {"model_type"},
    "model-fields": {"model_attributes_type", "missing", "extra_forbidden"},
    "literal": {"literal_error"},
    "datetime": {
        "datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid",
    },
    "date": {"date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"},
    "missing-sentinel": {"missing_sentinel_error"},
    "function-before": {"value_error"},
    "function-after": {"value_error"},
    "function-plain": {"value_error"},
    "nullable": set(), "union": set(), "default": set(), "definitions": set(), "definition-ref": set(),
    "json-or-python": set(), "lax-or-strict": set(), "is-instance": set(), "model-field": set(),
    "any": set(), "none": {"none_required"},
}  # fmt: skip
_CONSTRAINTS: Final = {
    "pattern": {"string_pattern_mismatch"},
    "ge": {"greater_than_equal"},
    "le": {"less_than_equal"},
    "max_length": {"string_too_long", "too_long"},
    "min_length": {"string_too_short", "too_short"},
}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield all parts of a core schema that validate a value of a request."""
    if isinstance(schema, list | tuple):
        for item in schema:
            yield from nodes(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for name, inner in schema.items():
            if name not in {"metadata", "serialization", "python_schema", "function"}:
                yield from nodes(inner)


async def test_every_validation_error_of_the_schemas_has_a_message(app: FastAPI) -> None:
    missing: set[str] = set()
    seen: set[str] = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route if hasattr(context, "original_route") else context
        dependant = getattr(route, "dependant", None)
        if dependant is None:
            continue
        fields = [*get_flat_params(dependant), *dependant.body_params]
        for field in fields:
            for node in nodes(field._type_adapter.core_schema):
                assert node["type"] in _ERRORS, node["type"]
                errors = set(_ERRORS[node["type"]])
                for constraint, raised in _CONSTRAINTS.items():
                    errors |= raised if constraint in node else set()
                seen.add(node["type"])
                missing |= errors - MESSAGES.keys()
    assert missing == set()
    assert {"str", "int", "list", "dict", "literal", "model-fields"} <= seen
    own = {"unknown_parameter", "repeated_parameter"}
    assert MESSAGES.keys() - own <= set(get_args(ErrorType))


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("/api/deals", [], "body", "must be an object"),
        ("/api/deals", "text", "body", "must be an object"),
        ("/api/deals", {"dealname": 5, "dealstage": "x"}, "dealname", "must be a string"),
        ("/api/deals", {"dealname": "\x00", "dealstage": "x"}, "dealname", "has characters that are not allowed here"),
        ("/api/deals", {"dealname": "", "dealstage": "x"}, "dealname", "must have at least 1 character"),
        ("/api/deals", {"dealname": "x" * 501, "dealstage": "x"}, "dealname", "must have at most 500 characters"),
        ("/api/deals", {"dealname": "x", "dealstage": "x", "properties": []}, "properties", "must be an object"),
        ("/api/deals", {"dealname": "x", "dealstage": "x", "[x]": 1}, "[x]", "is not a field of this request"),
        ("/api/deals/search", {"filters": {}}, "filters", "must be a list"),
        ("/api/deals/search", {"filters": ["x"]}, "filters.0", "must be an object"),
        ("/api/deals/search", {"filters": [{}] * 6}, "filters", "must have at most 5 items"),
        ("/api/deals/search", {"limit": 0}, "limit", "must be at least 1"),
        ("/api/deals/search", {"limit": 101}, "limit", "must be at most 100"),
        ("/api/deals/search", {"limit": 1.5}, "limit", "must be an integer"),
        ("/api/deals/search", {"limit": "10"}, "limit", "must be an integer"),
        ("/api/deals/search", {"sort": {"property": "amount", "direction": "up"}}, "sort.direction",
         "must be 'ascending' or 'descending'"),
        ("/api/deals/search", {"filters": [{"property": "amount", "operator": "IN", "values": []}]}, "filters.0",
         "IN takes values"),
        ("/api/deals", {"dealname": "x", "amount": "1,5"}, "amount",
         "must be a number such as 1500.50, with at most 15 digits before the decimal point and six after it"),
        ("/api/logout", {"everywhere": "yes"}, "everywhere", "must be true or false"),
    ],
)  # fmt: skip
async def test_invalid_value_gets_a_plain_message(
    customer: Caller, path: str, body: Any, field: str, message: str
) -> None:
    problem = assert_problem(await customer.post(path, body), 400, "validation_error")
    assert problem["details"][0] == {"field": field, "message": message}


async def test_unknown_query_parameters_are_refused_by_name(customer: Caller) -> None:
    for name, (method, path, operation) in operations().items():
        if not path.startswith("/api/"):
            continue
        ids = {"id": customer.contact_id, "object_type": "deals"}
        body = next(iter(body_examples(operation).values()), None)
        form = "application/x-www-form-urlencoded" in operation.get("requestBody", {}).get("content", {})
        response = await customer.client.request(
            method,
            path.format(**ids),
            params={"q": "fleet", "dealStage": "x", "filter[a]": "1"},
            headers=customer.headers,
            **({} if body is None else {"data" if form else "json": body}),
        )
        expected = (
            ["dealStage", "filter[a]"] if name == "searchEverything" else ["q", "dealStage", "filter[a]"]
        )
        problem = assert_problem(response, 400, "validation_error", fields=expected)
        assert {detail["message"] for detail in problem["details"]} == {
            "is not a parameter of this operation"
        }


async def test_unknown_parameter_without_token_returns_401(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/api/deals?page=2"), 401, "invalid_token")


async def test_health_probes_accept_any_query(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz?from=probe")).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("dealstage=closedwon&dealstage=closedlost", "dealstage"),
        ("limit=5&limit=5", "limit"),
        ("cursor=&cursor=", "cursor"),
    ],
)
async def test_repeated_query_parameter_returns_400(customer: Caller, query: str, field: str) -> None:
    response = await customer.get(f"/api/deals?{query}")
    problem = assert_problem(response, 400, "validation_error", fields=[field])
    assert problem["details"][0]["message"] == "is sent more than once"


async def test_unknown_option_names_the_path_that_lists_options(customer: Caller) -> None:
    path = f"/api/tickets/{await create_deal_as(customer)}"
    body = {"subject": "x", "description": "x", "category": "x"}
    problem = assert_problem(await customer.post(path, body), 400, "validation_error", fields=["category"])
    path = problem["details"][0]["message"].partition("GET ")[2].split()[0]
    assert (await customer.get(path)).status_code == 200
