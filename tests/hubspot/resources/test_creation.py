"""A record is created exactly once, in every branch of what can be lost."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.hubspot.stubs import Stub, build_client, ok, record, refusal
from tests.support.clock import FakeClock

from crm_api.hubspot import CrmRecord, HubSpotClient, NewAssociation, UniqueValue, call_context
from crm_api.hubspot.errors import (
    HubSpotConflictError,
    HubSpotDeadlineError,
    HubSpotError,
    HubSpotOutcomeUnknownError,
    HubSpotQuotaError,
    HubSpotValidationError,
)

KEY = UniqueValue("crm_api_request_id", "r-1")
CREATE = ("POST", "/crm/objects/2026-09/deals")
LOOK = (
    "GET",
    "/crm/objects/2026-09/deals/r-1?properties=dealname%2Ccrm_api_request_id&idProperty=crm_api_request_id",
)
LOST: list[Any] = [
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    refusal(502),
    httpx.Response(201, content=b"<html>"),
]


async def create(client: HubSpotClient, **changes: Any) -> CrmRecord:
    return await client.deals.create({"dealname": "A"}, **({"unique": KEY} | changes))


async def test_the_unique_property_is_sent_along_with_the_associations_in_the_direction_of_writing() -> None:
    stub = Stub(ok(record("9"), 201))
    links = [NewAssociation("contacts", "5"), NewAssociation("tickets", "6")]
    assert (await create(build_client(stub), associations=links)).id == "9"
    assert stub.sent == [CREATE]
    assert stub.body() == {
        "properties": {"dealname": "A", "crm_api_request_id": "r-1"},
        "associations": [
            {
                "to": {"id": "5"},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
            },
            {
                "to": {"id": "6"},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 27}],
            },
        ],
    }


@pytest.mark.parametrize(
    ("from_type", "to_type", "type_id"),
    [
        ("contacts", "deals", 4),
        ("deals", "contacts", 3),
        ("contacts", "tickets", 15),
        ("tickets", "contacts", 16),
        ("deals", "tickets", 27),
        ("tickets", "deals", 28),
    ],
)
async def test_association_type_ids(from_type: Any, to_type: Any, type_id: int) -> None:
    stub = Stub(ok(record(), 201))
    await build_client(stub).objects(from_type).create({}, associations=[NewAssociation(to_type, "1")])
    assert stub.body()["associations"][0]["types"][0]["associationTypeId"] == type_id


async def test_without_associations_none_are_sent() -> None:
    stub = Stub(ok(record(), 201))
    await create(build_client(stub), unique=None)
    assert stub.body() == {"properties": {"dealname": "A"}}


@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_answer_after_the_commit_is_found_and_adopted(lost: Any) -> None:
    stub = Stub(lost, ok(record("9", dealname="A")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOK]


@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_answer_before_the_commit_is_repeated_once_it_is_known_to_be_absent(lost: Any) -> None:
    stub = Stub(lost, refusal(404), ok(record("9"), 201))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOK, CREATE]
    assert stub.body(0) == stub.body(2)


@pytest.mark.parametrize(
    "refused", [refusal(409, "taken"), refusal(400, "already used", category="VALIDATION_ERROR")]
)
async def test_a_repeat_that_is_refused_because_the_first_arrived_late_is_adopted(
    refused: httpx.Response,
) -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, ok(record("9")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOK, CREATE, LOOK]


@pytest.mark.parametrize(
    "members",
    [
        {"errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["dealstage"]}}]},
        {"context": {"INVALID_OBJECT_IDS": ["5"]}},
    ],
)
async def test_a_repeat_that_is_refused_on_its_own_account_is_that_refusal(members: dict[str, Any]) -> None:
    refused = refusal(400, category="VALIDATION_ERROR", **members)
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404))
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOK, CREATE, LOOK]


@pytest.mark.parametrize(
    "refused",
    [refusal(400, category="VALIDATION_ERROR"), httpx.Response(400, content=b'{"mess'), refusal(409)],
)
async def test_a_repeat_that_is_refused_without_a_reason_may_be_refused_because_it_exists(
    refused: httpx.Response,
) -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOK, CREATE, LOOK, LOOK]
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404), ok(record("9")))
    assert (await create(build_client(stub))).id == "9"


async def test_a_refusal_that_says_it_exists_while_it_cannot_be_found_is_an_unknown_outcome() -> None:
    said = refusal(
        400, "Property values were not valid: r-1 already has that value for crm_api_request_id.",
        category="VALIDATION_ERROR",
        errors=[{"message": "x", "code": "DUPLICATE_UNIQUE_PROPERTY_VALUE"}],
    )  # fmt: skip
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), said, refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOK, CREATE, LOOK, LOOK]
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), said, refusal(404), ok(record("9")))
    assert (await create(build_client(stub))).id == "9"


EMAIL = UniqueValue("email", "a@b.co")
TAKEN = refusal(
    400, "Property values were not valid", category="VALIDATION_ERROR",
    errors=[{
        "message": "1 already has that value.", "code": "CONFLICTING_UNIQUE_VALUE",
        "context": {"propertyName": ["crm_api_request_id"]},
    }],
)  # fmt: skip


async def test_the_first_refusal_of_a_shared_identifier_is_the_callers_to_decide() -> None:
    stub = Stub(refusal(409, "Contact already exists. Existing ID: 51", category="CONFLICT"))
    with pytest.raises(HubSpotConflictError) as raised:
        await build_client(stub).contacts.create({}, unique=EMAIL)
    assert raised.value.existing_id == "51"
    assert not raised.value.sent
    assert len(stub.sent) == 1


async def test_a_refusal_after_a_429_is_still_the_first() -> None:
    stub = Stub(refusal(429, headers={"Retry-After": "1"}), refusal(409, "taken"))
    with pytest.raises(HubSpotConflictError):
        await build_client(stub).contacts.create({}, unique=EMAIL)
    assert len(stub.sent) == 2


@pytest.mark.parametrize("taken", [TAKEN, refusal(409, "taken"), refusal(400, "r-1 already has that value")])
async def test_only_a_try_of_ours_can_have_taken_a_value_of_our_own_property(taken: httpx.Response) -> None:
    stub = Stub(taken, ok(record("9")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOK]


async def test_what_our_own_property_was_refused_for_and_cannot_be_found_is_that_refusal() -> None:
    stub = Stub(TAKEN, refusal(404))
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOK, LOOK]


async def test_a_value_of_another_unique_property_that_is_taken_is_the_callers_to_mend() -> None:
    said = refusal(
        400, "Property values were not valid", category="VALIDATION_ERROR",
        errors=[{
            "message": "1 already has that value.", "code": "CONFLICTING_UNIQUE_VALUE",
            "context": {"propertyName": ["erp_number"]},
        }],
    )  # fmt: skip
    stub = Stub(said)
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE]


async def test_without_a_unique_property_an_unclear_create_is_not_repeated_and_says_so() -> None:
    for lost in LOST:
        stub = Stub(lost)
        with pytest.raises(HubSpotOutcomeUnknownError) as raised:
            await create(build_client(stub), unique=None)
        assert stub.sent == [CREATE]
        assert raised.value.sent
        assert isinstance(raised.value.cause, HubSpotError)
        assert raised.value.__cause__ is raised.value.cause


async def test_without_a_unique_property_a_rejected_create_is_repeated() -> None:
    stub = Stub(httpx.ConnectError("refused"), refusal(423), ok(record("9"), 201))
    assert (await create(build_client(stub), unique=None)).id == "9"
    assert stub.sent == [CREATE] * 3


async def test_when_the_look_fails_too_the_outcome_is_unknown() -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(503))
    with pytest.raises(HubSpotOutcomeUnknownError) as raised:
        await create(build_client(stub))
    assert type(raised.value.cause).__name__ == "HubSpotTimeoutError"
    assert stub.sent.count(CREATE) == 1
    assert stub.sent.count(LOOK) > 1


async def test_every_try_lost_and_nothing_found_ends_with_an_unknown_outcome_and_few_tries() -> None:
    stub = Stub(lambda request: refusal(502) if request.method == "POST" else refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent.count(CREATE) == 4
    assert stub.sent[-1] == LOOK


async def test_a_rejection_after_an_unclear_try_leaves_the_outcome_unknown() -> None:
    daily = refusal(429, "You have reached your daily limit.", policyName="DAILY")
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), daily)
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))


async def test_a_rejected_create_that_is_never_let_in_was_not_sent() -> None:
    stub = Stub(refusal(429, headers={"Retry-After": "100"}))
    with pytest.raises(HubSpotQuotaError) as raised:
        await create(build_client(stub))
    assert not raised.value.sent
    assert stub.sent == [CREATE]


async def test_resuming_looks_first_and_adopts() -> None:
    stub = Stub(ok(record("9")))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOK]


async def test_resuming_creates_what_is_not_there_and_adopts_after_a_refusal() -> None:
    stub = Stub(refusal(404), ok(record("9"), 201))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOK, CREATE]
    stub = Stub(refusal(404), refusal(409, "taken"), ok(record("9")))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOK, CREATE, LOOK]


async def test_resuming_without_being_able_to_look_creates_nothing() -> None:
    stub = Stub(refusal(500))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub), is_retry=True)
    assert CREATE not in stub.sent


async def test_time_is_kept_for_finding_out() -> None:
    clock = FakeClock()
    timeouts: list[float] = []

    async def slow(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        if request.method == "POST":
            clock.now += request.extensions["timeout"]["read"]
            raise httpx.ReadTimeout("slow", request=request)
        return ok(record("9"))

    stub = Stub(slow)
    with call_context(6, clock=clock) as context:
        assert (await create(build_client(stub, fake_clock=clock))).id == "9"
        assert context.remaining() >= 1.8
    assert timeouts[0] < 4.2


async def test_a_create_that_has_no_time_for_finding_out_is_not_begun() -> None:
    clock = FakeClock()
    stub = Stub(ok(record("9"), 201))
    with call_context(10, clock=clock):
        clock.now += 7.5
        with pytest.raises(HubSpotDeadlineError) as raised:
            await create(build_client(stub, fake_clock=clock))
    assert stub.requests == []
    assert not raised.value.sent


class TestContactByEmail:
    """The value may be that of a contact that was there before us."""

    key = UniqueValue("email", "a@b.co")
    properties = {"firstname": "Ann", "phone": ""}  # noqa: RUF012

    async def test_what_says_what_we_sent_is_ours(self) -> None:
        stub = Stub(httpx.ReadTimeout("slow"), ok(record("9", email="a@b.co", firstname="Ann", phone=None)))
        created = await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert created.id == "9"

    async def test_what_says_something_else_was_there_before_and_is_a_conflict(self) -> None:
        stub = Stub(httpx.ReadTimeout("slow"), ok(record("9", email="a@b.co", firstname="Bob")))
        with pytest.raises(HubSpotConflictError) as raised:
            await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert raised.value.existing_id == "9"

    async def test_an_address_that_is_taken_and_leads_to_nobody_is_a_conflict(self) -> None:
        """It is the second address of a contact."""
        taken = refusal(409, "Contact already exists. Existing ID: 51")
        stub = Stub(httpx.ReadTimeout("slow"), refusal(404), taken, refusal(404))
        with pytest.raises(HubSpotConflictError) as raised:
            await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert raised.value.existing_id == "51"


async def test_a_cancelled_create_sends_nothing_more() -> None:
    stub = Stub(lambda _: asyncio.Event().wait())
    task = asyncio.create_task(create(build_client(stub)))
    await stub.busy()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stub.sent == [CREATE]
