"""Invalid requests, most of them without a login: their size, their errors and their limits."""

import gc
import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from tests.support.builders import deal_body
from tests.support.callers import Caller, assert_problem
from tests.support.openapi import operations

import crm_api.schemas
from crm_api.errors import MAX_DETAILS, from_validation
from crm_api.middleware import ACCOUNT_PATHS, MAX_ACCOUNT_BODY_BYTES
from crm_api.rate_limit import RateLimits
from crm_api.schemas.common import MAX_MEMBERS, RequestModel

MANY = {f"key{number}": "x" for number in range(MAX_MEMBERS + 1)}
JSON = {"Content-Type": "application/json"}


def request_models() -> Iterator[type[RequestModel]]:
    for module in pkgutil.iter_modules(crm_api.schemas.__path__):
        importlib.import_module(f"crm_api.schemas.{module.name}")
    pending = RequestModel.__subclasses__()
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        yield model


@pytest.mark.parametrize("model", list(request_models()), ids=lambda model: model.__name__)
def test_object_with_too_many_members_gets_no_error_per_member(model: type[RequestModel]) -> None:
    bodies: list[Any] = [
        MANY,
        *({name: value} for name in model.model_fields for value in (MANY, [MANY] * 200)),
    ]
    for body in bodies:
        with pytest.raises(ValidationError) as refused:
            model.model_validate(body)
        # The required fields may be missing too.
        assert refused.value.error_count() <= MAX_DETAILS
        assert not [error for error in refused.value.errors() if MANY.keys() & set(error["loc"])]


def test_from_validation_of_5000_failures_builds_100_details() -> None:
    read = []

    class Failure(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name == "loc":
                read.append(self)
            return super().__getitem__(name)

    failures = [Failure(type="missing", loc=("body", f"field{number}"), msg="") for number in range(5000)]
    assert len(from_validation(failures).details) == MAX_DETAILS
    assert len(read) == MAX_DETAILS


@pytest.mark.parametrize("content", [json.dumps({"properties": MANY}).encode(), b"{", b"\xff"])
async def test_refused_body_is_freed_at_once(customer: Caller, content: bytes) -> None:
    def count_errors() -> int:
        return sum(isinstance(kept, ValueError | HTTPException) for kept in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = count_errors()
        response = await customer.client.post("/api/deals", content=content, headers=customer.headers | JSON)
        after = count_errors()
    finally:
        gc.enable()
    assert response.status_code == 400
    assert after == before


class TestAccountBodies:
    def test_account_paths_match_exactly_the_account_operations(self) -> None:
        account = {path for _, path, operation in operations().values() if operation["tags"] == ["Account"]}
        small = {path for _, path, _ in operations().values() if path.startswith(ACCOUNT_PATHS)}
        assert small == account

    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            (path, next(iter(operation["requestBody"]["content"])))
            for _, path, operation in operations().values()
            if operation["tags"] == ["Account"] and "requestBody" in operation
        ],
    )
    @pytest.mark.parametrize("chunked", [False, True])
    async def test_account_body_over_16_kib_returns_413(
        self, customer: Caller, path: str, content_type: str, chunked: bool
    ) -> None:
        async def chunks() -> Any:
            for _ in range(17):
                yield b"%" * 1024

        method = "PATCH" if path == "/api/me" else "POST"
        body = chunks() if chunked else b"%" * (MAX_ACCOUNT_BODY_BYTES + 1)
        headers = customer.headers | {"Content-Type": content_type}
        response = await customer.client.request(method, path, content=body, headers=headers)
        assert_problem(response, 413, "request_too_large")

    async def test_deal_body_over_16_kib_returns_201(self, customer: Caller) -> None:
        body = deal_body(description="x" * MAX_ACCOUNT_BODY_BYTES)
        assert (await customer.post("/api/deals", body)).status_code == 201


class TestInvalidRequests:
    async def test_network_with_many_invalid_requests_gets_429(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        bodies = ["{", "[]", json.dumps(MANY)]
        statuses = [
            (await client.post("/api/login", content=bodies[number % 3], headers=JSON)).status_code
            for number in range(62)
        ]
        assert statuses == [400] * 60 + [429] * 2
        refused = await client.post("/api/token/refresh", json={"refresh_token": "rt_" + "x" * 40})
        assert_problem(refused, 429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as other:
            assert (await other.post("/api/login", json={})).status_code == 400

    async def test_61st_invalid_token_form_from_one_address_returns_429(
        self, client: httpx.AsyncClient
    ) -> None:
        headers = {"Content-Type": "multipart/form-data"}
        statuses = [
            (await client.post("/api/token", content=b"x", headers=headers)).status_code for _ in range(61)
        ]
        assert statuses == [400] * 60 + [429]

    async def test_invalid_requests_of_a_user_do_not_limit_the_network(self, customer: Caller) -> None:
        statuses = {(await customer.post("/api/deals", {})).status_code for _ in range(70)}
        assert statuses == {400}
        assert (await customer.client.post("/api/login", json={})).status_code == 400

    async def test_invalid_requests_from_one_ipv6_48_prefix_add_up(self, app: FastAPI) -> None:
        settings = app.state.settings.model_copy(update={"rate_limit_invalid_requests": "2 per 1 minute"})
        app.state.rate_limits = RateLimits(settings)
        statuses = []
        for number in range(33):
            # Each /56 network sends once, so that only their /48 network reaches its limit of 2 * 16.
            transport = httpx.ASGITransport(app=app, client=(f"2001:db8:1:{number:x}00::1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
                statuses.append((await client.post("/api/login", content="{", headers=JSON)).status_code)
        assert statuses == [400] * 32 + [429]
