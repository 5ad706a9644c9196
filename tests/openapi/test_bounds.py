"""The service enforces the bounds in the OpenAPI document: it accepts a value at a bound and refuses one beyond."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.callers import Caller
from tests.support.openapi import body_examples, openapi_document, operations

from crm_api.settings import Settings

# Messages about length, size, number of items or characters.
BOUND_MESSAGE = re.compile(
    r"must have at|out of range|not allowed here|may contain|RFC 3339|"
    r"must be '|must be at|must be a number or|must be from|is not a valid e-mail|at most|Extra|is not a field"
)


def text_of_length(length: int, schema: dict[str, Any]) -> str | None:
    """Return a text of this length that matches the schema's pattern and format, or None."""
    if schema.get("format") == "email":
        # The local part has up to 64 characters, and a label of the domain up to 63 (RFC 5321).
        local = "a" * max(1, min(64, length - len("@b.c")))
        return f"{local}@{'.'.join(['d' * 50] * 4)[: length - len(local) - len('@.c')]}.c"
    candidates = ("a" * length, "1" * length, '"' + "a" * (length - 2) + '"', "a@" + "b" * (length - 2))
    return next((text for text in candidates if re.search(schema.get("pattern", ""), text)), None)


def bounds_of(schema: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the keyword of each bound, a value at the bound, and a value beyond it."""
    if "maxLength" in schema:
        maximum = schema["maxLength"]
        beyond = text_of_length(maximum + 1, schema) or "a" * (maximum + 1)
        yield "maxLength", text_of_length(maximum, schema), beyond
    if schema.get("minLength", 0) > 0:
        minimum = schema["minLength"]
        yield "minLength", text_of_length(minimum, schema), "a" * (minimum - 1)
    if schema.get("type") in {"integer", "number"}:
        step = 1 if schema["type"] == "integer" else schema["maximum"] // 1000
        yield "maximum", schema["maximum"], schema["maximum"] + step
        yield "minimum", schema["minimum"], schema["minimum"] - step
    if "maxItems" in schema:
        item = schema["items"].get("examples", [None])[0] or "1"
        if "$ref" in schema["items"]:
            item = {"property": "createdate", "operator": "HAS_PROPERTY"}
        yield "maxItems", [item] * schema["maxItems"], [item] * (schema["maxItems"] + 1)
    if "enum" in schema:
        yield "enum", schema["enum"][-1], "nothing"
    if "pattern" in schema and "enum" not in schema:
        example = (schema.get("examples") or ["a"])[0]
        yield "pattern", example, f"{example}\x00"


def fields(name: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schemas of a field. Skip alternative string schemas: a text beyond one's bound may match another."""
    if isinstance(schema.get("type"), list):
        schema = schema | {"type": next(name for name in schema["type"] if name != "null")}
    alternatives = schema.get("anyOf", [schema])
    strings = [branch for branch in alternatives if branch.get("type") == "string"]
    for branch in alternatives:
        if branch.get("type") == "null" or (branch.get("type") == "string" and len(strings) > 1):
            continue
        if "anyOf" in branch:
            yield from fields(name, branch)
        else:
            yield name, {"examples": schema.get("examples", [None]), **branch}


class Service:
    """Client that sends an operation's example with one changed value."""

    def __init__(
        self, client: httpx.AsyncClient, customer: Caller, staff: Caller, deal: str, ticket: str
    ) -> None:
        self.client = client
        self.customer = customer
        self.staff = staff
        self.ids = {"contacts": customer.contact_id, "deals": deal, "tickets": ticket}

    async def send(self, name: str, location: str, field: str, value: Any) -> list[str]:
        """Send the value in this location and return the messages about the field."""
        method, path, operation = operations()[name]
        known = self.ids.get("deals" if name == "createTicket" else path.split("/")[-2], "")
        parts = {"id": known, "object_type": "deals"}
        caller = self.staff if name in {"createContact", "createDeal", "updateContact"} else self.customer
        headers = dict(caller.headers) if operation.get("security") else {}
        arguments: dict[str, Any] = {}
        examples = list(body_examples(operation).values())
        if examples:
            body = dict(examples[0])
            if location == "body":
                body[field] = value
            if name == "searchEverything":
                raise AssertionError(name)
            form = "application/x-www-form-urlencoded" in operation["requestBody"]["content"]
            arguments["data" if form else "json"] = body
        query = {"q": "fleet"} if name == "searchEverything" else {}
        if location == "query":
            query[field] = value
        if location == "path":
            parts[field] = str(value).replace("\x00", "%00")
        if location == "header":
            headers[field] = value
        response = await self.client.request(
            method, path.format(**parts), params=query or None, headers=headers, **arguments
        )
        assert response.status_code < 500, (name, field, response.text)
        if response.status_code != 400:
            return []
        problem = response.json()
        if problem["code"] == "unsupported_grant_type":
            return [problem["code"]]
        return [
            detail["message"]
            for detail in problem["details"]
            if detail["field"] == field or detail["field"].startswith(f"{field}.")
        ]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_enabled": False})


@pytest.fixture
async def service(client: httpx.AsyncClient, customer: Caller, staff: Caller) -> Service:
    deal = await customer.post("/api/deals", {"dealname": "Fleet", "dealstage": "qualifiedtobuy"})
    deal_id = deal.json()["data"]["id"]
    body = {"subject": "Late", "description": "Late", "hs_pipeline_stage": "1"}
    ticket = await customer.post(f"/api/tickets/{deal_id}", body)
    return Service(client, customer, staff, deal_id, ticket.json()["data"]["id"])


def bounded_fields() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield operation ID, location, name and schema of all parameters and body fields."""
    schemas = openapi_document()["components"]["schemas"]
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            for field, schema in fields(parameter["name"], parameter["schema"]):
                yield name, parameter["in"], field, schema
        for content in operation.get("requestBody", {}).get("content", {}).values():
            reference = next(
                branch["$ref"]
                for branch in (content["schema"], *content["schema"].get("anyOf", ()))
                if "$ref" in branch
            )
            for field, inner in schemas[reference.rpartition("/")[2]]["properties"].items():
                for _, schema in fields(field, inner):
                    yield name, "body", field, schema


async def test_service_enforces_the_documented_bounds(service: Service) -> None:
    checked = 0
    failures = []
    for name, location, field, schema in bounded_fields():
        for keyword, at, beyond in bounds_of(schema):
            if location == "header" and keyword == "pattern":
                beyond = "é".encode("latin-1") if field != "If-Match" else "no quotes"
            messages = await service.send(name, location, field, beyond)
            if not messages and not (location == "path" and keyword == "minLength"):
                failures.append(f"{name}: {field} beyond {keyword} is accepted: {str(beyond)[:60]!r}")
            if at is not None:
                failures += [
                    f"{name}: {field} at {keyword} is refused: {message}"
                    for message in await service.send(name, location, field, at)
                    if BOUND_MESSAGE.search(message)
                ]
            checked += 1
    assert not failures, "\n".join(failures)
    assert checked > 200


async def test_filters_and_sorts_enforce_the_documented_bounds(service: Service) -> None:
    schemas = openapi_document()["components"]["schemas"]
    operators = {
        "value": {"operator": "EQ"},
        "high_value": {"operator": "BETWEEN", "value": "1"},
        "values": {"operator": "IN"},
        "property": {"operator": "HAS_PROPERTY"},
        "operator": {},
    }
    checked = 0
    for field, inner in schemas["SearchFilter"]["properties"].items():
        for _, schema in fields(field, inner):
            for keyword, at, beyond in bounds_of(schema):
                for value, is_valid in ((at, True), (beyond, False)):
                    condition = {"property": "amount", **operators[field], field: value}
                    messages = await service.send("searchDeals", "body", "filters", [condition])
                    is_refused = any(BOUND_MESSAGE.search(message) for message in messages)
                    assert is_refused != is_valid or value is None, (field, keyword, value, messages)
                    checked += 1
    assert checked > 20
    for value in ("x" * 101, "no name"):
        assert await service.send("searchDeals", "body", "sort", {"property": value})
    assert await service.send("searchDeals", "body", "sort", {"property": "amount", "direction": "up"})
