"""Exactly-once creation after every kind of lost response."""

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
LOOKUP = (
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


async def test_create_sends_unique_property_and_associations() -> None:
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
async def test_association_type_id_depends_on_direction(from_type: Any, to_type: Any, type_id: int) -> None:
    stub = Stub(ok(record(), 201))
    await build_client(stub).objects(from_type).create({}, associations=[NewAssociation(to_type, "1")])
    assert stub.body()["associations"][0]["types"][0]["associationTypeId"] == type_id


async def test_create_without_associations_omits_the_member() -> None:
    stub = Stub(ok(record(), 201))
    await create(build_client(stub), unique=None)
    assert stub.body() == {"properties": {"dealname": "A"}}


@pytest.mark.parametrize("lost", LOST)
async def test_record_created_before_a_lost_response_is_returned(lost: Any) -> None:
    stub = Stub(lost, ok(record("9", dealname="A")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOKUP]


@pytest.mark.parametrize("lost", LOST)
async def test_lost_create_is_retried_if_lookup_finds_no_record(lost: Any) -> None:
    stub = Stub(lost, refusal(404), ok(record("9"), 201))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOKUP, CREATE]
    assert stub.body(0) == stub.body(2)


@pytest.mark.parametrize(
    "refused", [refusal(409, "taken"), refusal(400, "already used", category="VALIDATION_ERROR")]
)
async def test_retried_create_refused_as_duplicate_returns_the_record(
    refused: httpx.Response,
) -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, ok(record("9")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOKUP, CREATE, LOOKUP]


@pytest.mark.parametrize(
    "members",
    [
        {"errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["dealstage"]}}]},
        {"context": {"INVALID_OBJECT_IDS": ["5"]}},
    ],
)
async def test_retried_create_refused_as_invalid_raises_the_400(members: dict[str, Any]) -> None:
    refused = refusal(400, category="VALIDATION_ERROR", **members)
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404))
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOKUP, CREATE, LOOKUP]


@pytest.mark.parametrize(
    "refused",
    [refusal(400, category="VALIDATION_ERROR"), httpx.Response(400, content=b'{"mess'), refusal(409)],
)
async def test_retried_create_refused_without_reason_looks_up_twice(
    refused: httpx.Response,
) -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOKUP, CREATE, LOOKUP, LOOKUP]
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), refused, refusal(404), ok(record("9")))
    assert (await create(build_client(stub))).id == "9"


async def test_retried_duplicate_without_a_record_is_unknown_outcome() -> None:
    rejection = refusal(
        400, "Property values were not valid: r-1 already has that value for crm_api_request_id.",
        category="VALIDATION_ERROR",
        errors=[{"message": "x", "code": "DUPLICATE_UNIQUE_PROPERTY_VALUE"}],
    )  # fmt: skip
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), rejection, refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOKUP, CREATE, LOOKUP, LOOKUP]
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), rejection, refusal(404), ok(record("9")))
    assert (await create(build_client(stub))).id == "9"


EMAIL = UniqueValue("email", "a@b.co")
TAKEN = refusal(
    400, "Property values were not valid", category="VALIDATION_ERROR",
    errors=[{
        "message": "1 already has that value.", "code": "CONFLICTING_UNIQUE_VALUE",
        "context": {"propertyName": ["crm_api_request_id"]},
    }],
)  # fmt: skip


def duplicate_of(name: str) -> httpx.Response:
    """Build the 400 of a duplicate unique value, as recorded: it has no `errors`."""
    coordinates = (
        f"portalId=1, objectTypeId=ObjectTypeId{{legacyObjectType=DEAL}}, propertyName={name}, value=r-1"
    )
    message = f"Cannot set PropertyValueCoordinates{{{coordinates}}} on 9. 51 already has that value."
    return refusal(400, message, category="VALIDATION_ERROR")


async def test_400_for_duplicate_email_on_first_attempt_is_a_conflict() -> None:
    stub = Stub(duplicate_of("email"))
    with pytest.raises(HubSpotConflictError) as raised:
        await build_client(stub).contacts.create({}, unique=EMAIL)
    assert (raised.value.existing_id, raised.value.sent, len(stub.sent)) == ("51", False, 1)


async def test_409_for_existing_email_on_first_attempt_is_a_conflict() -> None:
    stub = Stub(refusal(409, "Contact already exists. Existing ID: 51", category="CONFLICT"))
    with pytest.raises(HubSpotConflictError) as raised:
        await build_client(stub).contacts.create({}, unique=EMAIL)
    assert raised.value.existing_id == "51"
    assert not raised.value.sent
    assert len(stub.sent) == 1


async def test_409_after_a_429_raises_conflict_without_a_lookup() -> None:
    stub = Stub(refusal(429, headers={"Retry-After": "1"}), refusal(409, "taken"))
    with pytest.raises(HubSpotConflictError):
        await build_client(stub).contacts.create({}, unique=EMAIL)
    assert len(stub.sent) == 2


@pytest.mark.parametrize(
    "taken",
    [
        TAKEN,
        refusal(409, "taken"),
        refusal(400, "r-1 already has that value"),
        duplicate_of("crm_api_request_id"),
    ],
)
async def test_duplicate_request_id_on_first_attempt_returns_record(taken: httpx.Response) -> None:
    stub = Stub(taken, ok(record("9")))
    assert (await create(build_client(stub))).id == "9"
    assert stub.sent == [CREATE, LOOKUP]


async def test_duplicate_request_id_without_a_record_raises_the_400() -> None:
    stub = Stub(TAKEN, refusal(404))
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOKUP, LOOKUP]


DUPLICATES_OF_ANOTHER_PROPERTY = [
    refusal(
        400, "Property values were not valid", category="VALIDATION_ERROR",
        errors=[{
            "message": "1 already has that value.", "code": "CONFLICTING_UNIQUE_VALUE",
            "context": {"propertyName": ["erp_number"]},
        }],
    ),
    duplicate_of("erp_number"),
]  # fmt: skip


@pytest.mark.parametrize("rejection", DUPLICATES_OF_ANOTHER_PROPERTY)
async def test_duplicate_erp_number_raises_validation_error(rejection: httpx.Response) -> None:
    stub = Stub(rejection)
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE]
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), rejection, refusal(404))
    with pytest.raises(HubSpotValidationError):
        await create(build_client(stub))
    assert stub.sent == [CREATE, LOOKUP, CREATE, LOOKUP]


async def test_lost_create_without_unique_value_is_not_retried() -> None:
    for lost in LOST:
        stub = Stub(lost)
        with pytest.raises(HubSpotOutcomeUnknownError) as raised:
            await create(build_client(stub), unique=None)
        assert stub.sent == [CREATE]
        assert raised.value.sent
        assert isinstance(raised.value.cause, HubSpotError)
        assert raised.value.__cause__ is raised.value.cause


async def test_create_that_hubspot_did_not_act_on_is_retried() -> None:
    stub = Stub(httpx.ConnectError("refused"), refusal(423), ok(record("9"), 201))
    assert (await create(build_client(stub), unique=None)).id == "9"
    assert stub.sent == [CREATE] * 3


async def test_failed_lookup_after_a_lost_create_is_unknown_outcome() -> None:
    stub = Stub(httpx.ReadTimeout("slow"), refusal(503))
    with pytest.raises(HubSpotOutcomeUnknownError) as raised:
        await create(build_client(stub))
    assert type(raised.value.cause).__name__ == "HubSpotTimeoutError"
    assert stub.sent.count(CREATE) == 1
    assert stub.sent.count(LOOKUP) > 1


async def test_create_with_only_lost_responses_is_unknown_outcome() -> None:
    stub = Stub(lambda request: refusal(502) if request.method == "POST" else refusal(404))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))
    assert stub.sent.count(CREATE) == 4
    assert stub.sent[-1] == LOOKUP


async def test_daily_429_after_a_lost_create_is_unknown_outcome() -> None:
    daily = refusal(429, "You have reached your daily limit.", policyName="DAILY")
    stub = Stub(httpx.ReadTimeout("slow"), refusal(404), daily)
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub))


async def test_create_refused_with_long_retry_after_has_sent_false() -> None:
    stub = Stub(refusal(429, headers={"Retry-After": "100"}))
    with pytest.raises(HubSpotQuotaError) as raised:
        await create(build_client(stub))
    assert not raised.value.sent
    assert stub.sent == [CREATE]


async def test_create_with_is_retry_looks_the_record_up_first() -> None:
    stub = Stub(ok(record("9")))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOKUP]


async def test_create_with_is_retry_creates_a_missing_record() -> None:
    stub = Stub(refusal(404), ok(record("9"), 201))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOKUP, CREATE]
    stub = Stub(refusal(404), refusal(409, "taken"), ok(record("9")))
    assert (await create(build_client(stub), is_retry=True)).id == "9"
    assert stub.sent == [LOOKUP, CREATE, LOOKUP]


async def test_create_with_is_retry_and_failed_lookup_sends_no_create() -> None:
    stub = Stub(refusal(500))
    with pytest.raises(HubSpotOutcomeUnknownError):
        await create(build_client(stub), is_retry=True)
    assert CREATE not in stub.sent


async def test_part_of_a_creates_deadline_is_reserved_for_the_lookup() -> None:
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


async def test_create_without_time_for_the_lookup_is_not_sent() -> None:
    clock = FakeClock()
    stub = Stub(ok(record("9"), 201))
    with call_context(10, clock=clock):
        clock.now += 7.5
        with pytest.raises(HubSpotDeadlineError) as raised:
            await create(build_client(stub, fake_clock=clock))
    assert stub.requests == []
    assert not raised.value.sent


class TestContactByEmail:
    """The e-mail address may belong to a contact that existed before."""

    key = UniqueValue("email", "a@b.co")
    properties = {"firstname": "Ann", "phone": ""}  # noqa: RUF012

    async def test_looked_up_contact_with_the_sent_values_is_returned(self) -> None:
        stub = Stub(httpx.ReadTimeout("slow"), ok(record("9", email="a@b.co", firstname="Ann", phone=None)))
        created = await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert created.id == "9"

    async def test_looked_up_contact_with_different_values_raises_conflict(self) -> None:
        stub = Stub(httpx.ReadTimeout("slow"), ok(record("9", email="a@b.co", firstname="Bob")))
        with pytest.raises(HubSpotConflictError) as raised:
            await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert raised.value.existing_id == "9"

    async def test_duplicate_email_without_a_found_contact_is_a_conflict(self) -> None:
        """The address is the secondary address of a contact."""
        taken = refusal(409, "Contact already exists. Existing ID: 51")
        stub = Stub(httpx.ReadTimeout("slow"), refusal(404), taken, refusal(404))
        with pytest.raises(HubSpotConflictError) as raised:
            await build_client(stub).contacts.create(self.properties, unique=self.key)
        assert raised.value.existing_id == "51"


async def test_cancelled_create_sends_no_further_request() -> None:
    stub = Stub(lambda _: asyncio.Event().wait())
    task = asyncio.create_task(create(build_client(stub)))
    await stub.busy()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stub.sent == [CREATE]
