"""The examples in the OpenAPI document: each request is sent, and each answer is what is answered."""

from collections.abc import Mapping
from typing import Any, Final

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


def differences(example: Any, real: Any, place: str = "") -> list[str]:
    """Where the example has not the shape of what was answered; either may be null, or a list empty."""
    if example is None or real is None:
        return []
    if type(example) is not type(real):
        return [f"{place}: {type(example).__name__} in the example, {type(real).__name__} in the answer"]
    if isinstance(example, dict):
        if list(example) != list(real):
            return [f"{place}: {list(example)} in the example, {list(real)} in the answer"]
        return [each for key in example for each in differences(example[key], real[key], f"{place}/{key}")]
    if isinstance(example, list) and example and real:
        return differences(example[0], real[0], f"{place}/0")
    return []


class Trying:
    """Sends the document's examples, and holds the answers against it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.headers: dict[str, str] = {}
        self.staff_headers: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        """By the second part of a path, the id it takes."""
        self.succeeded: set[str] = set()

    async def request(
        self, name: str, /, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        """A request of this operation on one of Ada's records, as who may send it."""
        method, path, _ = operations()[name]
        known = {"id": self.ids.get("deals" if name == "createTicket" else path.split("/")[-2], "")}
        ids = {"object_type": "deals"} | known | arguments.pop("path_parameters", {})
        own = self.staff_headers if name == "createContact" and self.headers else self.headers
        return await self.client.request(
            method, path.format(**ids), headers=own | dict(headers or {}), **arguments
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
        """An example, with what has to be changed of it; its answer is held to the document."""
        _, _, operation = operations()[name]
        arguments: dict[str, Any] = {"params": query} if query else {}
        if example is not None:
            body = body_examples(operation)[example] | dict(changes or {})
            form = "application/x-www-form-urlencoded" in operation["requestBody"]["content"]
            sent = {key: value for key, value in body.items() if key != without}
            arguments["data" if form else "json"] = sent
        answer = await self.request(name, headers=headers, path_parameters=path_parameters, **arguments)
        documented = assert_documented(name, answer)
        if answer.is_success:
            self.succeeded.add(name)
            if answer.content:
                shown = next(iter(documented["examples"].values()))["value"]
                assert not differences(shown, answer.json()), name
                assert shown.get("message") == answer.json().get("message"), name
        return answer

    async def succeed(self, name: str, **arguments: Any) -> Any:
        """Sends every example body of an operation, or none where it takes none; the data of the last answer."""
        _, _, operation = operations()[name]
        answer: httpx.Response | None = None
        for example in body_examples(operation) or [None]:
            answer = await self.send(name, example, **arguments)
            assert answer.is_success, (name, example, answer.text)
        assert answer is not None
        return answer.json().get("data", answer.json()) if answer.content else None

    async def log_in(self) -> None:
        """As Ada, with the password that the examples have."""
        tokens = await self.succeed("logIn")
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
def trying(client: httpx.AsyncClient) -> Trying:
    return Trying(client)


async def test_the_examples_tell_one_story_from_registering_to_leaving(trying: Trying, staff: Caller) -> None:
    await trying.succeed("register")
    await trying.log_in()
    password = await trying.send("createToken", "password")
    renewed = {"refresh_token": password.json()["refresh_token"]}
    renewed = {"refresh_token": (await trying.succeed("refreshToken", changes=renewed))["refresh_token"]}
    assert (await trying.send("createToken", "refresh_token", changes=renewed)).is_success

    profile = await trying.succeed("getMe")
    for name in (
        "getHealth",
        "getReadiness",
        "listPipelines",
        "updateMe",
        "resendVerification",
        "forgotPassword",
    ):
        await trying.succeed(name)
    for object_type in ("contacts", "deals", "tickets"):
        await trying.succeed("listProperties", object_type=object_type)

    created = await trying.send("createDeal", "deal")
    first = created.json()["data"]["deal"]
    read = await trying.client.get(created.headers["location"], headers=trying.headers)
    assert read.json()["data"]["deal"]["id"] == first["id"]
    shown = documented_responses(operations()["createDeal"][2])["201"]["content"]["application/json"][
        "examples"
    ]["success"]
    its_own = {"id", "hs_object_id", "createdate", "hs_lastmodifieddate"}
    assert {key: value for key, value in first.items() if key not in its_own} == {
        key: value for key, value in shown["value"]["data"]["deal"].items() if key not in its_own
    }
    deal = (await trying.succeed("createDeal"))["deal"]["id"]
    ticket = (await trying.succeed("createTicket", id=first["id"]))["ticket"]["id"]
    for name, record in (("Deal", first["id"]), ("Ticket", ticket), ("Contact", profile["contact_id"])):
        await trying.succeed(f"get{name}", id=record)
        await trying.succeed(f"update{name}", id=record)
    for name in ("listDeals", "listTickets", "listContacts", "listCrmObjects"):
        await trying.succeed(name)
    for name in ("searchDeals", "searchTickets", "searchContacts"):
        await trying.succeed(name)
    found = await trying.succeed("searchEverything", query={"q": "fleet"})
    assert found["deals"]
    exported = await trying.succeed("exportMe")
    assert exported["contact"]["deals"]
    assert exported["tickets"]

    trying.staff_headers = staff.headers
    await trying.succeed("createContact")
    await trying.succeed("archiveTicket", id=ticket)
    await trying.succeed("archiveDeal", id=deal)
    await trying.succeed("changePassword")
    assert (await trying.send("logOut", "this_session")).is_success
    new_password = body_examples(operations()["changePassword"][2])["request"]["new_password"]
    for leave, example in (("logOut", "all_sessions"), ("deleteMe", None)):
        answer = await trying.send("logIn", "request", changes={"password": new_password})
        trying.headers = {"Authorization": f"Bearer {answer.json()['data']['access_token']}"}
        assert (await trying.send(leave, example)).is_success
    # What needs a mailed token is tried below.
    assert set(operations()) - trying.succeeded == {"verifyEmail", "resetPassword"}


class TestProof:
    @pytest.fixture
    def settings(self, settings: Settings, mailbox: Mailbox) -> Settings:
        return with_email_verification(settings, mailbox)

    async def test_the_examples_work_with_the_mailed_tokens(
        self, trying: Trying, app: FastAPI, mailbox: Mailbox
    ) -> None:
        asked = await trying.send("register", "request")
        assert asked.status_code == 202
        token = token_of(await wait_for_mail(app, mailbox, ADA))
        await trying.succeed("verifyEmail", changes={"token": token})
        await trying.succeed("forgotPassword")
        token = token_of(await wait_for_mail(app, mailbox, ADA))
        await trying.succeed("resetPassword", changes={"token": token})


class TestErrors:
    """Every error example of every operation, as far as a caller can bring it about alone."""

    # What is wrong with a request where it is not its first field that is missing.
    WRONG: Final[dict[str, dict[str, Any]]] = {
        "createToken": {"changes": {"username": "a" * 255}},
        "updateMe": {"changes": {"phone": "+44 20"}},
        "logOut": {"changes": {"everywhere": 1}},
        "createDeal": {"changes": {"dealstage": "nowhere"}},
        "updateDeal": {"changes": {"dealstage": "nowhere"}},
        "createTicket": {"changes": {"hs_pipeline_stage": "nowhere"}},
        "updateTicket": {"changes": {"hs_pipeline_stage": "nowhere"}},
        "updateContact": {"changes": {"email": "another@example.com"}},
        "listProperties": {"object_type": "companies"},
        **{
            name: {"changes": {"filters": [{"property": "nothing", "operator": "EQ", "value": "1"}]}}
            for name in ("searchDeals", "searchTickets", "searchContacts")
        },
    }

    @pytest.fixture
    async def ada(self, trying: Trying, staff: Caller) -> Trying:
        """Ada, logged in, with a deal and a ticket."""
        await trying.succeed("register")
        await trying.log_in()
        trying.ids["deals"] = (await trying.send("createDeal", "deal")).json()["data"]["deal"]["id"]
        trying.ids["tickets"] = (await trying.succeed("createTicket"))["ticket"]["id"]
        trying.ids["contacts"] = (await trying.succeed("getMe"))["contact_id"]
        trying.staff_headers = staff.headers
        return trying

    def expect(self, name: str, answer: httpx.Response, code: str) -> None:
        """The answer is, but for the request's own name, the example of this code."""
        documented = assert_documented(name, answer)
        assert answer.json()["code"] == code, (name, answer.text)
        example = documented["examples"][code]["value"]
        assert answer.json() | {"request_id": example["request_id"]} == example, name

    def showing(self, code: str) -> dict[str, str | None]:
        """The operations that show this error, each with the first example of its body."""
        status = str(ERROR_TYPES[code].status)
        found: dict[str, str | None] = {}
        for name, (_, _, operation) in operations().items():
            content = documented_responses(operation).get(status, {}).get("content", {})
            if code in content.get("application/problem+json", {}).get("examples", {}):
                found[name] = next(iter(body_examples(operation)), None)
        assert found, code
        return found

    async def test_a_request_that_is_not_valid(self, ada: Trying) -> None:
        for name, example in self.showing("validation_error").items():
            _, _, operation = operations()[name]
            shown = documented_responses(operation)["400"]["content"]["application/problem+json"]["examples"]
            detail = shown["validation_error"]["value"]["details"][0]
            wrong = self.WRONG.get(name)
            if wrong is None and detail["message"] == "is required":
                wrong = {"without": detail["field"]}
            elif wrong is None:
                wrong = {"query": {"limit": "101"}} if detail["field"] == "limit" else {"id": "x"}
            self.expect(name, await ada.send(name, example, **wrong), "validation_error")

    async def test_a_body_that_is_no_json_too_large_or_of_another_type(
        self, ada: Trying, settings: Settings
    ) -> None:
        large = b'{"query": "' + b"a" * settings.max_body_bytes + b'"}'
        for code, content, media_type in (
            ("malformed_body", b"{", "application/json"),
            ("request_too_large", large, ""),
            ("unsupported_media_type", b"<deal/>", "application/xml"),
        ):
            for name in self.showing(code):
                own = next(iter(operations()[name][2]["requestBody"]["content"]))
                headers = {"Content-Type": media_type or own}
                self.expect(name, await ada.request(name, content=content, headers=headers), code)

    async def test_no_token(self, ada: Trying) -> None:
        ada.headers = {}
        for name, example in self.showing("invalid_token").items():
            self.expect(name, await ada.send(name, example), "invalid_token")
        secured = {name for name, (_, _, operation) in operations().items() if operation.get("security")}
        assert secured | {"refreshToken"} == set(self.showing("invalid_token"))

    async def test_a_record_that_there_is_not(self, ada: Trying) -> None:
        for name, example in self.showing("not_found").items():
            self.expect(name, await ada.send(name, example, id="99999999"), "not_found")

    async def test_a_cursor_that_nobody_gave(self, ada: Trying) -> None:
        cursor = {"cursor": "made-up"}
        for name, example in self.showing("invalid_cursor").items():
            sent: dict[str, Any] = {"changes": cursor} if example else {"query": cursor}
            self.expect(name, await ada.send(name, example, **sent), "invalid_cursor")

    async def test_a_record_that_has_changed(self, ada: Trying) -> None:
        for name, example in self.showing("precondition_failed").items():
            answer = await ada.send(name, example, headers={"If-Match": '"0"'})
            self.expect(name, answer, "precondition_failed")

    async def test_a_key_that_was_used_for_another_request(self, ada: Trying) -> None:
        for name, example in self.showing("idempotency_key_reused").items():
            changes = {"email": f"{name}@example.com"} if name in {"register", "createContact"} else {}
            other = {"subject": "Another"} if name == "createTicket" else {"dealname": "Another"}
            other = {"firstname": "Another"} if changes else other
            key = {"Idempotency-Key": f"key-{name}"}
            first = await ada.send(name, example, changes=changes, headers=key)
            assert first.status_code == 201, first.text
            again = await ada.send(name, example, changes=changes | other, headers=key)
            self.expect(name, again, "idempotency_key_reused")

    async def test_somebody_who_may_not(self, ada: Trying) -> None:
        not_mine = await ada.send("createDeal", "deal", changes={"contact_id": "1"})
        self.expect("createDeal", not_mine, "forbidden")
        refused = await ada.request("createContact", json={"email": "x@example.com"}, headers=ada.headers)
        self.expect("createContact", refused, "forbidden")
        assert set(self.showing("forbidden")) == {"createDeal", "createContact"}

    async def test_an_address_that_is_taken(self, ada: Trying) -> None:
        self.expect("register", await ada.send("register", "request"), "user_exists")
        grace = (await ada.succeed("createContact"))["contact"]["id"]
        self.expect("createContact", await ada.send("createContact", "contact"), "contact_exists")
        ada.headers = ada.staff_headers
        answer = await ada.send("updateContact", "phone", changes={"email": ADA}, id=grace)
        self.expect("updateContact", answer, "contact_exists")

    async def test_a_password_or_link_that_is_wrong(self, ada: Trying) -> None:
        wrong = {"password": "a wrong password"}
        self.expect("logIn", await ada.send("logIn", "request", changes=wrong), "invalid_credentials")
        for changes, code in (
            (wrong, "invalid_grant"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ):
            self.expect("createToken", await ada.send("createToken", "password", changes=changes), code)
        answer = await ada.send("createToken", "password", without="grant_type")
        self.expect("createToken", answer, "invalid_request")
        wrong = {"current_password": "a wrong password"}
        answer = await ada.send("changePassword", "request", changes=wrong)
        self.expect("changePassword", answer, "wrong_password")
        for name, example in self.showing("invalid_link").items():
            self.expect(name, await ada.send(name, example), "invalid_link")

    async def test_too_many_requests(self, ada: Trying) -> None:
        responses = [await ada.request("getMe") for _ in range(121)]
        self.expect("getMe", responses[-1], "rate_limit_exceeded")

    async def test_hubspot_on_a_bad_day(self, ada: Trying, emulator: Emulator) -> None:
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
        # No request goes out from here on.
        emulator.fail_next("GET", "/crm/objects/*/deals/*", status=429, headers={"Retry-After": "600"})
        self.expect("getDeal", await ada.send("getDeal"), "hubspot_unavailable")
