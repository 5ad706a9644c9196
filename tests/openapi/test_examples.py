"""Examples in the OpenAPI document: each request is sent and the response compared with its example."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from tests.support.callers import Caller
from tests.support.mail import Mailbox, token_of, wait_for_mail, with_email_verification
from tests.support.openapi import assert_documented, body_examples, documented_responses, operations

from crm_api.errors import ERROR_TYPES
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ADA = "ada@example.com"


def differences(example: Any, real: Any, pointer: str = "") -> list[str]:
    """Return where the shapes of example and response differ; null and empty lists match everything."""
    if example is None or real is None:
        return []
    if type(example) is not type(real):
        return [f"{pointer}: {type(example).__name__} in the example, {type(real).__name__} in the response"]
    if isinstance(example, dict):
        if list(example) != list(real):
            return [f"{pointer}: {list(example)} in the example, {list(real)} in the response"]
        return [text for key in example for text in differences(example[key], real[key], f"{pointer}/{key}")]
    if isinstance(example, list) and example and real:
        return differences(example[0], real[0], f"{pointer}/0")
    return []


class ExampleClient:
    """Client that sends the document's examples and compares the responses with the document."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.headers: dict[str, str] = {}
        self.staff_headers: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        """Record IDs by the second part of the path."""
        self.succeeded: set[str] = set()

    async def request(
        self, name: str, /, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        """Send a request of this operation on one of Ada's records, as a caller who may send it."""
        method, path, _ = operations()[name]
        known = {"id": self.ids.get("deals" if name == "createTicket" else path.split("/")[-2], "")}
        ids = {"object_type": "deals"} | known | arguments.pop("path_parameters", {})
        credentials = self.staff_headers if name == "createContact" and self.headers else self.headers
        return await self.client.request(
            method, path.format(**ids), headers=credentials | dict(headers or {}), **arguments
        )

    async def send(
        self,
        name: str,
        example: str | None = None,
        /,
        *,
        changes: Mapping[str, Any] | None = None,
        without: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        **path_parameters: str,
    ) -> httpx.Response:
        """Send a changed example and compare the response with the document."""
        _, _, operation = operations()[name]
        arguments: dict[str, Any] = {"params": query} if query else {}
        if example is not None:
            body = body_examples(operation)[example] | dict(changes or {})
            form = "application/x-www-form-urlencoded" in operation["requestBody"]["content"]
            sent = {key: value for key, value in body.items() if key != without}
            arguments["data" if form else "json"] = sent
        response = await self.request(name, headers=headers, path_parameters=path_parameters, **arguments)
        documented = assert_documented(name, response)
        if response.is_success:
            self.succeeded.add(name)
            if response.content:
                expected = next(iter(documented["examples"].values()))["value"]
                assert not differences(expected, response.json()), name
                assert expected.get("message") == response.json().get("message"), name
        return response

    async def succeed(self, name: str, **arguments: Any) -> Any:
        """Send every example body of an operation and return the data of the last response."""
        _, _, operation = operations()[name]
        response: httpx.Response | None = None
        for example in body_examples(operation) or [None]:
            response = await self.send(name, example, **arguments)
            assert response.is_success, (name, example, response.text)
        assert response is not None
        return response.json().get("data", response.json()) if response.content else None

    async def log_in(self) -> None:
        """Log in as Ada with the password of the examples."""
        tokens = await self.succeed("logIn")
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def examples(client: httpx.AsyncClient) -> ExampleClient:
    return ExampleClient(client)


async def test_request_examples_succeed_in_sequence(examples: ExampleClient, staff: Caller) -> None:
    await examples.succeed("register")
    await examples.log_in()
    password = await examples.send("createToken", "password")
    renewed = {"refresh_token": password.json()["refresh_token"]}
    renewed = {"refresh_token": (await examples.succeed("refreshToken", changes=renewed))["refresh_token"]}
    assert (await examples.send("createToken", "refresh_token", changes=renewed)).is_success

    for session in (await examples.succeed("listSessions"))["results"]:
        if not session["is_current"]:
            await examples.succeed("endSession", id=session["id"])

    profile = await examples.succeed("getMe")
    for name in (
        "getHealth",
        "getReadiness",
        "listPipelines",
        "updateMe",
        "resendVerification",
        "forgotPassword",
    ):
        await examples.succeed(name)
    for object_type in ("contacts", "deals", "tickets"):
        await examples.succeed("listProperties", object_type=object_type)

    created = await examples.send("createDeal", "deal")
    first = created.json()["data"]
    read = await examples.client.get(created.headers["location"], headers=examples.headers)
    assert read.json()["data"]["id"] == first["id"]
    documented = documented_responses(operations()["createDeal"][2])["201"]["content"]["application/json"][
        "examples"
    ]["success"]
    generated = {"id", "hs_object_id", "createdate", "hs_lastmodifieddate", "contact_ids"}
    assert {key: value for key, value in first.items() if key not in generated} == {
        key: value for key, value in documented["value"]["data"].items() if key not in generated
    }
    deal = (await examples.succeed("createDeal"))["id"]
    ticket = (await examples.succeed("createTicket", id=first["id"]))["id"]
    for name, record in (("Deal", first["id"]), ("Ticket", ticket), ("Contact", profile["contact_id"])):
        await examples.succeed(f"get{name}", id=record)
        await examples.succeed(f"update{name}", id=record)
    for name in ("listDeals", "listTickets", "listContacts", "listCrmObjects"):
        await examples.succeed(name)
    for name in ("searchDeals", "searchTickets", "searchContacts"):
        await examples.succeed(name)
    result = await examples.succeed("searchEverything", query={"q": "fleet"})
    assert result["deals"]
    exported = await examples.succeed("exportMe")
    assert exported["contact"]["deals"]
    assert exported["tickets"]

    examples.staff_headers = staff.headers
    await examples.succeed("createContact")
    await examples.succeed("archiveTicket", id=ticket)
    await examples.succeed("archiveDeal", id=deal)
    await examples.succeed("changePassword")
    assert (await examples.send("logOut", "this_session")).is_success
    new_password = body_examples(operations()["changePassword"][2])["request"]["new_password"]
    for name, example in (("logOut", "all_sessions"), ("deleteMe", None)):
        response = await examples.send("logIn", "request", changes={"password": new_password})
        examples.headers = {"Authorization": f"Bearer {response.json()['data']['access_token']}"}
        assert (await examples.send(name, example)).is_success
    # These operations need a mailed token: `TestEmailVerification` sends their examples.
    assert set(operations()) - examples.succeeded == {"verifyEmail", "resetPassword"}


class TestEmailVerification:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    async def test_request_examples_succeed_with_mailed_tokens(
        self, examples: ExampleClient, app: FastAPI, mailbox: Mailbox
    ) -> None:
        registered = await examples.send("register", "request")
        assert registered.status_code == 202
        token = token_of(await wait_for_mail(app, mailbox, ADA))
        await examples.succeed("verifyEmail", changes={"token": token})
        await examples.succeed("forgotPassword")
        token = token_of(await wait_for_mail(app, mailbox, ADA))
        await examples.succeed("resetPassword", changes={"token": token})


class TestErrors:
    """Error examples that a caller can provoke."""

    # Arguments that make a request invalid, if its first field is not missing.
    INVALID: Final[dict[str, dict[str, Any]]] = {
        "createToken": {"changes": {"username": "a" * 255}},
        "updateMe": {"changes": {"phone": "+44 20"}},
        "logOut": {"changes": {"everywhere": 1}},
        "createDeal": {"changes": {"dealstage": "nowhere"}},
        "updateDeal": {"changes": {"dealstage": "nowhere"}},
        "createTicket": {"changes": {"hs_pipeline_stage": "nowhere"}},
        "updateTicket": {"changes": {"hs_pipeline_stage": "nowhere"}},
        "updateContact": {"changes": {"email": "another@example.com"}},
        "exportMe": {"query": {"cursor": "!"}},
        "listProperties": {"object_type": "companies"},
        **{
            name: {"changes": {"filters": [{"property": "nothing", "operator": "EQ", "value": "1"}]}}
            for name in ("searchDeals", "searchTickets", "searchContacts")
        },
    }

    @pytest.fixture
    async def ada(self, examples: ExampleClient, staff: Caller) -> ExampleClient:
        """Return a client that is logged in as Ada, who has a deal and a ticket."""
        await examples.succeed("register")
        await examples.log_in()
        examples.ids["deals"] = (await examples.send("createDeal", "deal")).json()["data"]["id"]
        examples.ids["tickets"] = (await examples.succeed("createTicket"))["id"]
        examples.ids["contacts"] = (await examples.succeed("getMe"))["contact_id"]
        examples.ids["sessions"] = (await examples.succeed("listSessions"))["results"][0]["id"]
        examples.staff_headers = staff.headers
        return examples

    def expect(self, name: str, response: httpx.Response, code: str) -> None:
        """Check that the response equals the example of this code, except for the request ID."""
        documented = assert_documented(name, response)
        assert response.json()["code"] == code, (name, response.text)
        example = documented["examples"][code]["value"]
        assert response.json() | {"request_id": example["request_id"]} == example, name

    def operations_with(self, code: str) -> dict[str, str | None]:
        """Return the operations that document this error, with the first example of their body."""
        status = str(ERROR_TYPES[code].status)
        examples: dict[str, str | None] = {}
        for name, (_, _, operation) in operations().items():
            content = documented_responses(operation).get(status, {}).get("content", {})
            if code in content.get("application/problem+json", {}).get("examples", {}):
                examples[name] = next(iter(body_examples(operation)), None)
        assert examples, code
        return examples

    async def test_validation_error_examples_match_real_responses(self, ada: ExampleClient) -> None:
        for name, example in self.operations_with("validation_error").items():
            _, _, operation = operations()[name]
            documented = documented_responses(operation)["400"]["content"]["application/problem+json"][
                "examples"
            ]
            detail = documented["validation_error"]["value"]["details"][0]
            changes = self.INVALID.get(name)
            if changes is None and detail["message"] == "is required":
                changes = {"without": detail["field"]}
            elif changes is None:
                query = {"limit": "0", "page": "2"}
                field = detail["field"]
                changes = {"query": {field: query[field]}} if field in query else {"id": "x"}
            self.expect(name, await ada.send(name, example, **changes), "validation_error")

    async def test_body_error_examples_match_real_responses(
        self, ada: ExampleClient, settings: Settings
    ) -> None:
        large = b'{"query": "' + b"a" * settings.max_body_bytes + b'"}'
        for code, content, media_type in (
            ("malformed_body", b"{", "application/json"),
            ("request_too_large", large, ""),
            ("unsupported_media_type", b"<deal/>", "application/xml"),
        ):
            for name in self.operations_with(code):
                documented = next(iter(operations()[name][2]["requestBody"]["content"]))
                headers = {"Content-Type": media_type or documented}
                self.expect(name, await ada.request(name, content=content, headers=headers), code)

    async def test_invalid_token_examples_match_real_responses(self, ada: ExampleClient) -> None:
        ada.headers = {}
        for name, example in self.operations_with("invalid_token").items():
            self.expect(name, await ada.send(name, example), "invalid_token")
        secured = {name for name, (_, _, operation) in operations().items() if operation.get("security")}
        assert secured | {"refreshToken"} == set(self.operations_with("invalid_token"))

    async def test_not_found_examples_match_real_responses(self, ada: ExampleClient) -> None:
        for name, example in self.operations_with("not_found").items():
            unknown = str(uuid4()) if name == "endSession" else "99999999"
            if name != "createDeal":
                self.expect(name, await ada.send(name, example, id=unknown), "not_found")

    async def test_not_found_example_of_create_matches_replay(self, ada: ExampleClient) -> None:
        key = {"Idempotency-Key": "archived"}
        created = await ada.send("createDeal", "deal", headers=key)
        await ada.send("archiveDeal", id=created.json()["data"]["id"])
        self.expect("createDeal", await ada.send("createDeal", "deal", headers=key), "not_found")

    async def test_invalid_cursor_examples_match_real_responses(self, ada: ExampleClient) -> None:
        cursor = {"cursor": "made-up"}
        for name, example in self.operations_with("invalid_cursor").items():
            arguments: dict[str, Any] = {"changes": cursor} if example else {"query": cursor}
            self.expect(name, await ada.send(name, example, **arguments), "invalid_cursor")

    async def test_precondition_failed_examples_match_real_responses(self, ada: ExampleClient) -> None:
        for name, example in self.operations_with("precondition_failed").items():
            response = await ada.send(name, example, headers={"If-Match": '"0"'})
            self.expect(name, response, "precondition_failed")

    async def test_idempotency_key_reused_examples_match_real_responses(self, ada: ExampleClient) -> None:
        for name, example in self.operations_with("idempotency_key_reused").items():
            changes = {"email": f"{name}@example.com"} if name in {"register", "createContact"} else {}
            other = {"subject": "Another"} if name == "createTicket" else {"dealname": "Another"}
            other = {"firstname": "Another"} if changes else other
            key = {"Idempotency-Key": f"key-{name}"}
            first = await ada.send(name, example, changes=changes, headers=key)
            assert first.status_code == 201, first.text
            again = await ada.send(name, example, changes=changes | other, headers=key)
            self.expect(name, again, "idempotency_key_reused")

    async def test_forbidden_examples_match_real_responses(self, app: FastAPI, ada: ExampleClient) -> None:
        forbidden = await ada.send("createDeal", "deal", changes={"contact_id": "1"})
        self.expect("createDeal", forbidden, "forbidden")
        refused = await ada.request("createContact", json={"email": "x@example.com"}, headers=ada.headers)
        self.expect("createContact", refused, "forbidden")
        app.state.settings.customer_operations = []
        archived = {"updateDeal", "archiveDeal", "createTicket", "updateTicket", "archiveTicket"}
        for name in sorted(archived):
            body = self.operations_with("forbidden")[name]
            self.expect(name, await ada.send(name, body), "forbidden")
        assert set(self.operations_with("forbidden")) == {"createDeal", "createContact"} | archived

    async def test_duplicate_address_examples_match_real_responses(self, ada: ExampleClient) -> None:
        self.expect("register", await ada.send("register", "request"), "user_exists")
        grace = (await ada.succeed("createContact"))["id"]
        self.expect("createContact", await ada.send("createContact", "contact"), "contact_exists")
        ada.headers = ada.staff_headers
        response = await ada.send("updateContact", "phone", changes={"email": ADA}, id=grace)
        self.expect("updateContact", response, "contact_exists")

    async def test_wrong_credentials_examples_match_real_responses(self, ada: ExampleClient) -> None:
        wrong = {"password": "a wrong password"}
        self.expect("logIn", await ada.send("logIn", "request", changes=wrong), "invalid_credentials")
        for changes, code in (
            (wrong, "invalid_grant"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ):
            self.expect("createToken", await ada.send("createToken", "password", changes=changes), code)
        response = await ada.send("createToken", "password", without="grant_type")
        self.expect("createToken", response, "invalid_request")
        wrong = {"current_password": "a wrong password"}
        response = await ada.send("changePassword", "request", changes=wrong)
        self.expect("changePassword", response, "wrong_password")
        for name, example in self.operations_with("invalid_link").items():
            self.expect(name, await ada.send(name, example), "invalid_link")

    async def test_rate_limit_example_matches_real_response(self, ada: ExampleClient) -> None:
        responses = [await ada.request("getMe") for _ in range(121)]
        self.expect("getMe", responses[-1], "rate_limit_exceeded")

    async def test_hubspot_error_examples_match_real_responses(
        self, ada: ExampleClient, emulator: Emulator
    ) -> None:
        for fault, code in (
            ({"status": 500, "times": 5}, "hubspot_error"),
            ({"status": 401, "times": 5}, "hubspot_credentials_refused"),
            ({"kind": "hang_after", "times": 5}, "hubspot_timeout"),
        ):
            emulator.fail_next("GET", "/crm/objects/*/deals/*", **fault)
            self.expect("getDeal", await ada.send("getDeal"), code)
            emulator.reset_faults()
        emulator.fail_next("POST", "/crm/objects/*/deals", kind="drop_after")
        self.expect("createDeal", await ada.send("createDeal", "deal"), "outcome_unknown")
        # The client sends no further requests until Retry-After, so this is the last case.
        emulator.fail_next("GET", "/crm/objects/*/deals/*", status=429, headers={"Retry-After": "600"})
        self.expect("getDeal", await ada.send("getDeal"), "hubspot_unavailable")
