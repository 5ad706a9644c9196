"""The bounds in the OpenAPI document are those that the service enforces: at one is within it, one more is not."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.callers import Caller
from tests.support.openapi import body_examples, openapi_document, operations

from crm_api.settings import Settings

# What says that a value is too long, too short, too large, too small, too many, or made of the wrong characters.
ABOUT_A_BOUND = re.compile(
    r"must have at|should have at|should be (less|greater)|out of range|not allowed here|may hold|RFC 3339|"
    r"should be '|must be a number or|must be from|is not a valid e-mail|at most|Extra|is not a field"
)


def filled(length: int, schema: dict[str, Any]) -> str | None:
    """A text of this length that the schema's pattern and format allow."""
    if schema.get("format") == "email":
        # What stands before the @ has up to 64 characters, and a label of a domain up to 63 (RFC 5321).
        local = "a" * max(1, min(64, length - len("@b.c")))
        return f"{local}@{'.'.join(['d' * 50] * 4)[: length - len(local) - len('@.c')]}.c"
    candidates = ("a" * length, "1" * length, '"' + "a" * (length - 2) + '"', "a@" + "b" * (length - 2))
    return next((each for each in candidates if re.search(schema.get("pattern", ""), each)), None)


def edges(schema: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each bound of a schema: its keyword, a value at it, and one beyond it."""
    if "maxLength" in schema:
        most = schema["maxLength"]
        yield "maxLength", filled(most, schema), filled(most + 1, schema) or "a" * (most + 1)
    if schema.get("minLength", 0) > 0:
        least = schema["minLength"]
        yield "minLength", filled(least, schema), "a" * (least - 1)
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
    """A field's schema; of alternatives, those of one kind alone, for a text beyond one may be within another."""
    alternatives = schema.get("anyOf", [schema])
    texts = [each for each in alternatives if each.get("type") == "string"]
    for each in alternatives:
        if each.get("type") == "null" or (each.get("type") == "string" and len(texts) > 1):
            continue
        if "anyOf" in each:
            yield from fields(name, each)
        else:
            yield name, {"examples": schema.get("examples", [None]), **each}


class Service:
    """Sends one request with one value put in."""

    def __init__(
        self, client: httpx.AsyncClient, customer: Caller, staff: Caller, deal: str, ticket: str
    ) -> None:
        self.client = client
        self.customer = customer
        self.staff = staff
        self.ids = {"contacts": customer.contact_id, "deals": deal, "tickets": ticket}

    async def send(self, name: str, place: str, field: str, value: Any) -> list[str]:
        """What the answer says of the field."""
        method, path, operation = operations()[name]
        known = self.ids.get("deals" if name == "createTicket" else path.split("/")[-2], "")
        parts = {"id": known, "object_type": "deals"}
        caller = self.staff if name in {"createContact", "createDeal", "updateContact"} else self.customer
        headers = dict(caller.headers) if operation.get("security") else {}
        arguments: dict[str, Any] = {}
        examples = list(body_examples(operation).values())
        if examples:
            body = dict(examples[0])
            if place == "body":
                body[field] = value
            if name == "searchEverything":
                raise AssertionError(name)
            form = "application/x-www-form-urlencoded" in operation["requestBody"]["content"]
            arguments["data" if form else "json"] = body
        query = {"q": "fleet"} if name == "searchEverything" else {}
        if place == "query":
            query[field] = value
        if place == "path":
            parts[field] = str(value).replace("\x00", "%00")
        if place == "header":
            headers[field] = value
        answer = await self.client.request(
            method, path.format(**parts), params=query or None, headers=headers, **arguments
        )
        assert answer.status_code < 500, (name, field, answer.text)
        if answer.status_code != 400:
            return []
        problem = answer.json()
        if problem["code"] == "unsupported_grant_type":
            return [problem["code"]]
        return [
            each["message"]
            for each in problem["details"]
            if each["field"] == field or each["field"].startswith(f"{field}.")
        ]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_enabled": False})


@pytest.fixture
async def service(client: httpx.AsyncClient, customer: Caller, staff: Caller) -> Service:
    deal = await customer.post("/api/deals", {"dealname": "Fleet", "dealstage": "qualifiedtobuy"})
    deal_id = deal.json()["data"]["deal"]["id"]
    body = {"subject": "Late", "description": "Late", "hs_pipeline_stage": "1"}
    ticket = await customer.post(f"/api/tickets/{deal_id}", body)
    return Service(client, customer, staff, deal_id, ticket.json()["data"]["ticket"]["id"])


def bounded() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every operation's parameters and body fields, with where they stand."""
    schemas = openapi_document()["components"]["schemas"]
    for name, (_, _, operation) in operations().items():
        for parameter in operation.get("parameters", ()):
            for field, schema in fields(parameter["name"], parameter["schema"]):
                yield name, parameter["in"], field, schema
        for content in operation.get("requestBody", {}).get("content", {}).values():
            reference = next(
                each["$ref"]
                for each in (content["schema"], *content["schema"].get("anyOf", ()))
                if "$ref" in each
            )
            for field, inner in schemas[reference.rpartition("/")[2]]["properties"].items():
                for _, schema in fields(field, inner):
                    yield name, "body", field, schema


async def test_a_value_at_a_bound_passes_it_and_one_beyond_is_refused_by_name(service: Service) -> None:
    tried = 0
    wrong = []
    for name, place, field, schema in bounded():
        for keyword, at, beyond in edges(schema):
            if place == "header" and keyword == "pattern":
                beyond = "é".encode("latin-1") if field != "If-Match" else "no quotes"
            said = await service.send(name, place, field, beyond)
            if not said and not (place == "path" and keyword == "minLength"):
                wrong.append(f"{name}: {field} beyond {keyword} is taken: {str(beyond)[:60]!r}")
            if at is not None:
                said = [
                    each for each in await service.send(name, place, field, at) if ABOUT_A_BOUND.search(each)
                ]
                wrong += [f"{name}: {field} at {keyword} is refused: {each}" for each in said]
            tried += 1
    assert not wrong, "\n".join(wrong)
    assert tried > 200


async def test_a_filter_and_a_sort_are_bounded_as_they_say(service: Service) -> None:
    schemas = openapi_document()["components"]["schemas"]
    rest = {
        "value": {"operator": "EQ"},
        "high_value": {"operator": "BETWEEN", "value": "1"},
        "values": {"operator": "IN"},
        "property": {"operator": "HAS_PROPERTY"},
        "operator": {},
    }
    tried = 0
    for field, inner in schemas["SearchFilter"]["properties"].items():
        for _, schema in fields(field, inner):
            for keyword, at, beyond in edges(schema):
                for value, within in ((at, True), (beyond, False)):
                    condition = {"property": "amount", **rest[field], field: value}
                    said = await service.send("searchDeals", "body", "filters", [condition])
                    bound = [each for each in said if ABOUT_A_BOUND.search(each)]
                    assert bool(bound) != within or value is None, (field, keyword, value, said)
                    tried += 1
    assert tried > 20
    for value in ("x" * 101, "no name"):
        assert await service.send("searchDeals", "body", "sort", {"property": value})
    assert await service.send("searchDeals", "body", "sort", {"property": "amount", "direction": "up"})
