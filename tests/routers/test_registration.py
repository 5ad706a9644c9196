"""Registration without e-mail verification."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.support.builders import PASSWORD, registration_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import duplicate_email_body

from crm_api.models import User, now
from crm_api.services.accounts import registration
from crm_api.services.accounts.context import AccountContext
from crm_api.settings import Settings
from hubspot_emulator import Emulator


async def users_of(app: FastAPI) -> list[User]:
    async with app.state.session_factory() as database:
        return list((await database.execute(select(User))).scalars())


def writes(emulator: Emulator) -> list[tuple[str, str]]:
    """Return the calls that change records."""
    return [
        (request.method, request.path)
        for request in emulator.requests
        if request.method != "GET" and not request.path.endswith(("/batch/read", "/search"))
    ]


class TestRegister:
    async def test_register_creates_user_and_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        response = await client.post("/api/register", json=registration_body())
        assert response.status_code == 201
        assert response.json()["message"] == "User registered successfully"
        contact = response.json()["data"]["contact"]
        [record] = emulator.records("contacts")
        assert contact["id"] == contact["hs_object_id"] == record.id
        assert (contact["email"], contact["firstname"], contact["lastname"], contact["phone"]) == (
            "ada@example.com",
            "Ada",
            "Lovelace",
            "+44 20 7946 0018",
        )
        assert set(contact) == {
            "id",
            "hs_object_id",
            "email",
            "firstname",
            "lastname",
            "phone",
            "lifecyclestage",
            "createdate",
            "lastmodifieddate",
            "properties",
        }
        [user] = await users_of(app)
        assert (user.status, user.contact_id, user.lease_id) == ("active", record.id, None)
        assert PASSWORD not in user.password_hash

    async def test_registered_email_is_trimmed_and_lowercased(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        response = await client.post("/api/register", json=registration_body(email="  Ada@Example.COM "))
        assert response.json()["data"]["contact"]["email"] == "ada@example.com"
        assert_problem(
            await client.post("/api/register", json=registration_body(email="ADA@example.com")),
            409,
            "user_exists",
        )
        assert len(emulator.records("contacts")) == 1

    @pytest.mark.parametrize("name", ["O'Brien", "José", "Mary Ann", "Anne-Marie", "Ñandú", "王", "D’Arcy"])
    async def test_register_returns_international_name_unchanged(
        self, client: httpx.AsyncClient, name: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(firstname=name))
        assert response.json()["data"]["contact"]["firstname"] == name

    async def test_register_returns_name_in_composed_unicode_form(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/register", json=registration_body(firstname="Jose\u0301"))
        assert response.json()["data"]["contact"]["firstname"] == "Jos\u00e9"

    @pytest.mark.parametrize(
        ("name", "stored"),
        [
            ("Sammy Davis Jr.", "Sammy Davis Jr."),
            ("J.R.R. Tolkien", "J.R.R. Tolkien"),
            ("Anne\N{HYPHEN}Marie", "Anne-Marie"),
            ("Anne\N{NON-BREAKING HYPHEN}Marie", "Anne-Marie"),
            ("van\N{NO-BREAK SPACE}Gogh", "van Gogh"),
            ("علی\N{ZERO WIDTH NON-JOINER}رضا", "علی\N{ZERO WIDTH NON-JOINER}رضا"),
        ],
    )
    async def test_register_normalises_punctuation_of_names(
        self, client: httpx.AsyncClient, name: str, stored: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(lastname=name))
        assert response.json()["data"]["contact"]["lastname"] == stored

    @pytest.mark.parametrize(
        ("phone", "stored"),
        [
            ("020 7946 0018 x12", "020 7946 0018 x12"),
            ("020 7946 0018x12", "020 7946 0018 x12"),
            ("+44 20 7946 0018 ext. 12", "+44 20 7946 0018 x12"),
            ("+44 20 7946 0018 EXT 1234", "+442079460018x1234"),
            ("+442079460018;ext=12", "+442079460018 x12"),
            ("030/123456", "030/123456"),
        ],
    )
    async def test_register_normalises_extensions_of_phone_numbers(
        self, client: httpx.AsyncClient, phone: str, stored: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(phone=phone))
        assert response.json()["data"]["contact"]["phone"] == stored

    @pytest.mark.parametrize("duplicate_status", [409, 400])
    async def test_register_links_and_updates_existing_contact(
        self, client: httpx.AsyncClient, emulator: Emulator, duplicate_status: int
    ) -> None:
        emulator.seed(
            {"contacts": [{"email": "ada@example.com", "firstname": "A.", "company": "Analytical Engines"}]}
        )
        [before] = emulator.records("contacts")
        if duplicate_status == 400:
            body = duplicate_email_body("ada@example.com", holder_id=before.id)
            emulator.fail_next("POST", "/crm/objects/*/contacts", status=400, body=body)
        response = await client.post("/api/register", json=registration_body())
        assert response.status_code == 201
        assert response.json()["data"]["contact"]["id"] == before.id
        [after] = emulator.records("contacts")
        assert (after.properties["firstname"], after.properties["phone"]) == ("Ada", "+44 20 7946 0018")
        assert after.properties["company"] == "Analytical Engines"

    async def test_register_known_email_returns_409_without_hubspot_call(
        self, customer: Caller, emulator: Emulator
    ) -> None:
        emulator.clear_requests()
        response = await customer.client.post("/api/register", json=registration_body(email=customer.email))
        problem = assert_problem(response, 409, "user_exists")
        assert problem["error"] == "User already exists"
        assert emulator.requests == []

    async def test_concurrent_registrations_create_one_user_and_contact(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        responses = await asyncio.gather(
            *(client.post("/api/register", json=registration_body()) for _ in range(2))
        )
        assert sorted(response.status_code for response in responses) == [201, 409]
        assert len(await users_of(app)) == 1
        assert len(emulator.records("contacts")) == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"email": "not an address"}, "email"),
            ({"email": "ada@localhost"}, "email"),
            ({"email": "ada@test"}, "email"),
            ({"email": "ädä@example.com"}, "email"),
            ({"email": "a" * 250 + "@example.com"}, "email"),
            ({"email": 7}, "email"),
            ({"firstname": ""}, "firstname"),
            ({"firstname": "   "}, "firstname"),
            ({"firstname": "x" * 101}, "firstname"),
            # The composed form of this letter has two code points (https://www.unicode.org/charts/normalization/).
            ({"firstname": "\u0958" * 51}, "firstname"),
            ({"firstname": "<b>Ada</b>"}, "firstname"),
            ({"firstname": "R2D2"}, "firstname"),
            ({"lastname": "A\x00B"}, "lastname"),
            ({"lastname": None}, "lastname"),
            ({"lastname": "example.com"}, "lastname"),
            ({"lastname": "see t.co"}, "lastname"),
            ({"lastname": "Jr.."}, "lastname"),
            ({"lastname": "."}, "lastname"),
            ({"lastname": "\N{ZERO WIDTH NON-JOINER}"}, "lastname"),
            ({"password": "short"}, "password"),
            ({"password": "x" * 129}, "password"),
            ({"password": "password1"}, "password"),
            ({"password": "ada@example.com"}, "password"),
            ({"phone": "12"}, "phone"),
            ({"phone": "call me maybe"}, "phone"),
            ({"phone": "1" * 21}, "phone"),
            ({"phone": "020 7946 0018 x"}, "phone"),
            ({"phone": "1234 x1234567"}, "phone"),
            ({"phone": "1234 x12"}, "phone"),
            ({"lifecyclestage": "customer"}, "lifecyclestage"),
            ({"role": "staff"}, "role"),
        ],
    )
    async def test_400_names_invalid_field_of_registration_without_write(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator, change: dict[str, Any], field: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(**change))
        problem = assert_problem(response, 400, "validation_error", fields=[field])
        assert problem["error"] == "Validation error"
        assert await users_of(app) == []
        assert writes(emulator) == []

    @pytest.mark.parametrize("missing", ["email", "firstname", "lastname", "password", "phone"])
    async def test_400_names_missing_field_of_registration(
        self, client: httpx.AsyncClient, missing: str
    ) -> None:
        body = registration_body()
        del body[missing]
        assert_problem(
            await client.post("/api/register", json=body), 400, "validation_error", fields=[missing]
        )

    async def test_registration_error_does_not_contain_invalid_values(
        self, client: httpx.AsyncClient
    ) -> None:
        response = await client.post(
            "/api/register", json=registration_body(password="sesam", email="nonsense-address")
        )
        assert "sesam" not in response.text
        assert "nonsense-address" not in response.text


class TestRequiredProperties:
    """A HubSpot account whose contacts need a property that the service does not know by itself."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        added = {
            "contacts": {
                "readable": ["company", "jobtitle", "hs_lead_status"],
                "writable_by_customer": ["company", "hs_lead_status"],
                "writable_by_staff": ["jobtitle"],
            }
        }
        return Settings(**(settings.model_dump() | {"_env_file": None, "hubspot_properties": added}))

    async def test_register_sets_properties_that_the_account_requires(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["company"]}
        response = await client.post("/api/register", json=registration_body())
        problem = assert_problem(response, 400, "validation_error", fields=["properties.company"])
        assert problem["detail"] == "The company requires Company; send properties.company."
        assert await users_of(app) == []
        body = registration_body(properties={"company": "Analytical Engines", "hs_lead_status": None})
        response = await client.post("/api/register", json=body)
        assert response.status_code == 201, response.text
        [record] = emulator.records("contacts")
        assert record.properties["company"] == "Analytical Engines"
        assert "hs_lead_status" not in record.properties

    async def test_400_names_required_property_if_labels_are_unreadable(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["company"]}
        emulator.fail_next("GET", "/crm/properties/*", status=403, times=50)
        response = await client.post("/api/register", json=registration_body())
        assert_problem(response, 400, "validation_error", fields=["properties.company"])

    async def test_registration_names_property_that_only_staff_may_write(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["jobtitle"]}
        response = await client.post("/api/register", json=registration_body())
        problem = assert_problem(response, 400, "validation_error", fields=["properties.jobtitle"])
        assert "you cannot set it; ask the company" in problem["details"][0]["message"]
        assert await users_of(app) == []

    @pytest.mark.parametrize(
        ("properties", "field"),
        [
            ({"jobtitle": "x"}, "properties.jobtitle"),
            ({"city": "x"}, "properties.city"),
            ({"email": "x@example.com"}, "properties.email"),
            ({"hs_lead_status": "no option"}, "properties.hs_lead_status"),
            ({"company": 7}, "properties.company"),
        ],
    )
    async def test_400_names_property_that_registration_may_not_set(
        self, client: httpx.AsyncClient, emulator: Emulator, properties: dict[str, Any], field: str
    ) -> None:
        response = await client.post("/api/register", json=registration_body(properties=properties))
        assert_problem(response, 400, "validation_error", fields=[field])
        assert writes(emulator) == []

    async def test_register_updates_properties_of_existing_contact(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.seed({"contacts": [{"email": "ada@example.com", "company": "Old"}]})
        response = await client.post("/api/register", json=registration_body(properties={"company": "New"}))
        assert response.json()["data"]["contact"]["properties"]["company"] == "New"
        [record] = emulator.records("contacts")
        assert record.properties["company"] == "New"


class TestRegisterWithFailures:
    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            ({"status": 500}, None, None),
            ({"status": 429}, None, None),
            ({"status": 500, "times": 50}, 502, "hubspot_error"),
            ({"status": 401, "times": 50}, 502, "hubspot_credentials_refused"),
            ({"status": 403, "times": 50}, 502, "hubspot_credentials_refused"),
            ({"kind": "drop_before", "times": 50}, 502, "hubspot_error"),
        ],
    )
    async def test_registration_failed_by_hubspot_leaves_no_user(
        self,
        client: httpx.AsyncClient,
        app: FastAPI,
        emulator: Emulator,
        fault: dict[str, Any],
        status: int | None,
        code: str | None,
    ) -> None:
        emulator.fail_next("*", "/crm/objects/*", **fault)
        response = await client.post("/api/register", json=registration_body())
        if status is None:
            assert response.status_code == 201, response.text
        else:
            assert response.status_code in (status, 503, 504)
            assert await users_of(app) == []
            emulator.reset_faults()
            response = await client.post("/api/register", json=registration_body())
            assert response.status_code in (201, 503), response.text
        assert emulator.used_faults()

    async def test_registration_taken_over_by_another_request_returns_409(
        self, client: httpx.AsyncClient, app: FastAPI, emulator: Emulator
    ) -> None:
        """A slow process continues after its lease has ended and another request has taken over the registration."""
        later = registration.NewUser("ada@example.com", "Ada", "Later", "+44 20 7946 0018")
        reserve = registration.reserve

        async def overtaken(
            context: AccountContext, new: registration.NewUser, password_hash: str
        ) -> registration.Reservation:
            reservation = await reserve(context, new, password_hash)
            async with app.state.session_factory.begin() as database:
                await database.execute(update(User).values(lease_until=now() - timedelta(seconds=1)))
            await reserve(context, later, "another hash")
            return reservation

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(registration, "reserve", overtaken)
            first = await client.post("/api/register", json=registration_body())
        assert_problem(first, 409, "user_exists")
        [user] = await users_of(app)
        assert (user.status, user.lastname) == ("registering", "Later")
        assert len(emulator.records("contacts")) == 1

    async def test_lost_hubspot_response_of_register_creates_one_contact(
        self, client: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.fail_next("POST", "/crm/objects/*/contacts", kind="drop_after")
        response = await client.post("/api/register", json=registration_body())
        assert response.status_code == 201, response.text
        assert len(emulator.records("contacts")) == 1
        assert len(emulator.used_faults()) == 1

    async def test_registration_can_be_retried_after_database_failure(
        self,
        client: httpx.AsyncClient,
        app: FastAPI,
        emulator: Emulator,
        fail_statements: Callable[[str], None],
    ) -> None:
        fail_statements("UPDATE users SET")
        first = await client.post("/api/register", json=registration_body())
        assert_problem(first, 503, "service_unavailable")
        assert len(emulator.records("contacts")) == 1
        fail_statements("")
        second = await client.post("/api/register", json=registration_body())
        assert second.status_code == 201, second.text
        assert len(emulator.records("contacts")) == 1
        login = await client.post("/api/login", json={"email": "ada@example.com", "password": PASSWORD})
        assert login.status_code == 200
