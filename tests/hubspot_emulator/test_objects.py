"""Contacts, deals and tickets one at a time, by raw HTTP."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator

CONTACTS, DEALS, TICKETS = (f"/crm/objects/2026-09/{each}" for each in ("contacts", "deals", "tickets"))


async def created(hubspot: httpx.AsyncClient, path: str, **properties: Any) -> dict[str, Any]:
    answer = await hubspot.post(path, json={"properties": properties})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


class TestCreate:
    async def test_ids_and_values_are_texts(self, hubspot: httpx.AsyncClient) -> None:
        deal = await created(hubspot, DEALS, dealname="Fleet", dealstage="qualifiedtobuy", amount=1500)
        assert deal["id"].isdigit()
        assert deal["properties"]["hs_object_id"] == deal["id"]
        assert deal["properties"]["amount"] == "1500"
        assert deal["properties"]["pipeline"] == "default"
        # As it is seen live: all digits of the nearest binary fraction.
        chance = deal["properties"]["hs_deal_stage_probability"]
        assert chance == "0.40000000000000002220446049250313080847263336181640625"
        assert deal["properties"]["hs_is_closed"] == "false"
        assert list(deal["properties"]) == sorted(deal["properties"])
        assert deal["createdAt"].endswith("Z")

    async def test_the_answer_names_where_the_record_is(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}})
        assert answer.headers["location"] == f"{CONTACTS}/{answer.json()['id']}"
        assert "associations" not in answer.json()
        older = await hubspot.post(
            "/crm/v3/objects/contacts", json={"properties": {"email": "b@example.com"}}
        )
        assert older.headers["location"] == f"/crm/v3/objects/contacts/{older.json()['id']}"

    async def test_an_email_is_stored_in_lower_case_and_taken_once(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email=" Ada@Example.COM ")
        assert contact["properties"]["email"] == "ada@example.com"
        again = await hubspot.post(CONTACTS, json={"properties": {"email": "ADA@example.com"}})
        assert again.status_code == 409
        assert again.json()["category"] == "CONFLICT"
        assert again.json()["message"] == f"Contact already exists. Existing ID: {contact['id']}"
        assert again.json()["correlationId"] == again.headers["x-hubspot-correlation-id"]

    @pytest.mark.parametrize(
        ("path", "properties", "code"),
        [
            (CONTACTS, {"email": "a@example.com", "shoe_size": "9"}, "PROPERTY_DOESNT_EXIST"),
            (CONTACTS, {"email": "not an address"}, "INVALID_EMAIL"),
            (CONTACTS, {"email": '"quoted"@example.com'}, "INVALID_EMAIL"),
            (CONTACTS, {"email": "a@example.com", "createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
            (DEALS, {"dealname": "d", "dealstage": "no_such_stage"}, "INVALID_OPTION"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "pipeline": "other"}, "INVALID_OPTION"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "amount": "1,500"}, "INVALID_LONG"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "amount": "1_500"}, "INVALID_LONG"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "amount": "Infinity"}, "INVALID_LONG"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "amount": "\u0663"}, "INVALID_LONG"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "closedate": "soon"}, "INVALID_LONG"),
            (DEALS, {"dealname": "d", "dealstage": "closedwon", "hs_priority": "HIGH"}, "INVALID_OPTION"),
            (
                TICKETS,
                {"subject": "t", "hs_pipeline_stage": "1", "hs_ticket_priority": "low"},
                "INVALID_OPTION",
            ),
            (
                TICKETS,
                {"subject": "t", "hs_pipeline_stage": "1", "hs_ticket_category": "OTHER"},
                "INVALID_OPTION",
            ),
        ],
    )
    async def test_a_bad_value_is_refused_with_its_code(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, path: str, properties: dict[str, str], code: str
    ) -> None:
        answer = await hubspot.post(path, json={"properties": properties})
        assert answer.status_code == 400
        body = answer.json()
        assert body["category"] == "VALIDATION_ERROR"
        assert [error["code"] for error in body["errors"]] == [code]
        assert body["message"].startswith("Property values were not valid: [{")
        assert emulator.records(path.rpartition("/")[2]) == []

    async def test_a_refused_option_is_told_with_the_allowed_ones(self, hubspot: httpx.AsyncClient) -> None:
        body = {"properties": {"dealname": "d", "dealstage": "closedwon", "hs_priority": "HIGH"}}
        [error] = (await hubspot.post(DEALS, json=body)).json()["errors"]
        assert error["message"] == (
            "HIGH was not one of the allowed options: "
            '[label: "Low"\nvalue: "low"\n, label: "Medium"\nvalue: "medium"\n, label: "High"\nvalue: "high"\n]'
        )

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("2026-11-02", "2026-11-02T00:00:00.000Z"),
            ("2026-11-02T10:00:00.5+02:00", "2026-11-02T08:00:00.500Z"),
            ("1793613600000", "2026-11-02T10:00:00.000Z"),
            # Before the year 1000, and the first one there is.
            ("-50000000000000", "0385-07-25T07:06:40.000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ],
    )
    async def test_a_moment_comes_back_in_one_form(
        self, hubspot: httpx.AsyncClient, sent: str, kept: str
    ) -> None:
        deal = await created(hubspot, DEALS, dealname="d", dealstage="closedwon", closedate=sent)
        assert deal["properties"]["closedate"] == kept

    @pytest.mark.parametrize(
        ("path", "properties"),
        [
            (CONTACTS, {"company": "C"}),
            (DEALS, {"dealname": "d"}),
            (DEALS, {"dealstage": "closedwon"}),
            (TICKETS, {"subject": "t"}),
        ],
    )
    async def test_what_is_required_must_be_there(
        self, hubspot: httpx.AsyncClient, path: str, properties: dict[str, str]
    ) -> None:
        answer = await hubspot.post(path, json={"properties": properties})
        assert answer.status_code == 400
        assert answer.json()["category"] == "VALIDATION_ERROR"

    async def test_an_unknown_association_target_creates_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
        answer = await hubspot.post(
            DEALS,
            json={
                "properties": {"dealname": "d", "dealstage": "closedwon"},
                "associations": [{"to": {"id": "404"}, "types": types}],
            },
        )
        assert answer.status_code == 400
        assert answer.json()["context"] == {"INVALID_OBJECT_IDS": ["404"]}
        assert emulator.records("deals") == []

    async def test_an_association_type_must_go_the_right_way(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com")
        body = {
            "properties": {"dealname": "d", "dealstage": "closedwon"},
            "associations": [
                {
                    "to": {"id": contact["id"]},
                    # Contact to deal; the deal's own way is 3.
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}],
                }
            ],
        }
        assert (await hubspot.post(DEALS, json=body)).status_code == 400
        body["associations"][0]["types"][0]["associationTypeId"] = 3  # type: ignore[index]
        answer = await hubspot.post(DEALS, json=body)
        assert answer.status_code == 201
        assert emulator.associations("contacts", contact["id"], "deals") == [answer.json()["id"]]
        assert emulator.associations("deals", answer.json()["id"], "contacts") == [contact["id"]]

    async def test_entering_a_closed_stage_sets_the_close_date(self, hubspot: httpx.AsyncClient) -> None:
        deal = await created(hubspot, DEALS, dealname="d", dealstage="closedwon")
        assert deal["properties"]["hs_is_closed_won"] == "true"
        assert deal["properties"]["closedate"] == deal["createdAt"]
        ticket = await created(hubspot, TICKETS, subject="t", hs_pipeline_stage="4")
        assert ticket["properties"]["closed_date"] == ticket["createdAt"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "Invalid JSON input: a request body was expected"),
            (b"{", "Invalid input JSON on line 1"),
            (b"[]", "Invalid input JSON on line 1"),
            (b"{}", "Some required fields were not set: [properties]"),
            (b'{"properties": []}', "Cannot deserialize"),
            (b'{"properties": {"email": {}}}', "Property values were not valid"),
            (b'{"properties": {}, "associations": {}}', "Cannot deserialize"),
            (
                b'{"properties": {"email": "a@example.com"}, "associations": [{"to": 1}]}',
                "Cannot deserialize",
            ),
            (b"[" * 100_000, "Invalid input JSON"),
        ],
    )
    async def test_wrong_json_is_a_400(
        self, hubspot: httpx.AsyncClient, content: bytes, message: str
    ) -> None:
        answer = await hubspot.post(CONTACTS, content=content)
        assert answer.status_code == 400
        assert message in answer.json()["message"]


class TestRead:
    async def test_by_email_percent_encoded(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a+b/c@example.com")
        answer = await hubspot.get(f"{CONTACTS}/a%2Bb%2Fc%40Example.com", params={"idProperty": "email"})
        assert answer.json()["id"] == contact["id"]

    async def test_unset_is_null_and_cleared_is_empty(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        assert (await hubspot.patch(path, json={"properties": {"firstname": ""}})).status_code == 200
        answer = await hubspot.get(path, params={"properties": "firstname,phone,no_such_property"})
        properties = answer.json()["properties"]
        assert list(properties) == ["createdate", "firstname", "hs_object_id", "lastmodifieddate", "phone"]
        assert properties["firstname"] == ""
        assert properties["phone"] is None

    async def test_null_changes_nothing(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        assert (await hubspot.patch(path, json={"properties": {"firstname": None}})).status_code == 200
        assert (await hubspot.get(path)).json()["properties"]["firstname"] == "A"

    async def test_a_ticket_shows_its_default_properties(self, hubspot: httpx.AsyncClient) -> None:
        ticket = await created(hubspot, TICKETS, subject="t", hs_pipeline_stage="1")
        answer = await hubspot.get(f"/crm/v3/objects/0-5/{ticket['id']}")
        assert list(answer.json()["properties"]) == [
            "content",
            "createdate",
            "hs_lastmodifieddate",
            "hs_object_id",
            "hs_pipeline",
            "hs_pipeline_stage",
            "hs_ticket_category",
            "hs_ticket_priority",
            "subject",
        ]

    @pytest.mark.parametrize("path", ["12345", "no-number", "nobody%40example.com?idProperty=email"])
    async def test_what_is_not_there_is_a_404(self, hubspot: httpx.AsyncClient, path: str) -> None:
        answer = await hubspot.get(f"{CONTACTS}/{path}")
        assert answer.status_code == 404
        assert answer.json()["status"] == "error"

    async def test_hs_object_id_is_no_id_property(self, hubspot: httpx.AsyncClient) -> None:
        answer = await hubspot.get(f"{CONTACTS}/1", params={"idProperty": "hs_object_id"})
        assert answer.status_code == 400
        assert "non-unique 0-1 property hs_object_id" in answer.json()["message"]

    async def test_history_is_newest_first(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        await hubspot.patch(path, json={"properties": {"firstname": "B"}})
        answer = await hubspot.get(path, params={"propertiesWithHistory": "firstname"})
        history = answer.json()["propertiesWithHistory"]["firstname"]
        assert [each["value"] for each in history] == ["B", "A"]

    async def test_inline_associations_stop_at_the_first_page(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.inline_association_page_size = 2
        deals = [{"dealname": f"d{number}", "dealstage": "closedwon"} for number in range(3)]
        made = emulator.seed({"contacts": [{"email": "a@example.com", "deals": deals}]})
        answer = await hubspot.get(
            f"{CONTACTS}/{made['contacts'][0]}", params={"associations": "deals,tickets,nonsense"}
        )
        found = answer.json()["associations"]
        assert list(found) == ["deals"]
        assert found["deals"]["results"] == [
            {"id": each, "type": "contact_to_deal"} for each in made["deals"][:2]
        ]
        assert found["deals"]["paging"]["next"]["after"]


class TestList:
    async def test_pages_rise_by_id_until_paging_is_gone(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        made = emulator.seed({"contacts": [{"email": f"a{number}@example.com"} for number in range(25)]})
        emulator.archive_as_other_actor("contacts", made["contacts"][3])
        found, params = [], {"limit": "10"}
        while True:
            page = (await hubspot.get(CONTACTS, params=params)).json()
            found += [each["id"] for each in page["results"]]
            if "paging" not in page:
                break
            assert isinstance(page["paging"]["next"]["after"], str)
            params["after"] = page["paging"]["next"]["after"]
        assert found == [each for each in made["contacts"] if each != made["contacts"][3]]
        archived = (await hubspot.get(CONTACTS, params={"archived": "true"})).json()["results"]
        assert [each["id"] for each in archived] == [made["contacts"][3]]
        assert archived[0]["archivedAt"]

    @pytest.mark.parametrize(
        "params",
        [{"limit": "101"}, {"limit": "0"}, {"limit": "x"}, {"limit": "51", "propertiesWithHistory": "email"}],
    )
    async def test_a_limit_too_large_is_a_400(
        self, hubspot: httpx.AsyncClient, params: dict[str, str]
    ) -> None:
        assert (await hubspot.get(CONTACTS, params=params)).status_code == 400


class TestChange:
    async def test_a_patch_by_unique_property(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com")
        answer = await hubspot.patch(
            f"{CONTACTS}/A%40example.com",
            params={"idProperty": "email"},
            json={"properties": {"lastname": "L"}},
        )
        assert answer.json()["id"] == contact["id"]
        assert answer.json()["properties"]["lastname"] == "L"

    async def test_another_contacts_email_is_a_409(self, hubspot: httpx.AsyncClient) -> None:
        first = await created(hubspot, CONTACTS, email="a@example.com")
        second = await created(hubspot, CONTACTS, email="b@example.com")
        answer = await hubspot.patch(
            f"{CONTACTS}/{second['id']}", json={"properties": {"email": "A@example.com"}}
        )
        assert (answer.status_code, first["id"] in answer.json()["message"]) == (409, True)

    async def test_an_email_given_up_is_free(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com")
        await hubspot.patch(f"{CONTACTS}/{contact['id']}", json={"properties": {"email": "b@example.com"}})
        assert (await created(hubspot, CONTACTS, email="a@example.com"))["id"] != contact["id"]

    async def test_a_lifecycle_stage_does_not_go_backwards(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com", lifecyclestage="customer")
        path = f"{CONTACTS}/{contact['id']}"
        for value, expected in (("lead", "customer"), ("", ""), ("lead", "lead")):
            await hubspot.patch(path, json={"properties": {"lifecyclestage": value}})
            answer = await hubspot.get(path, params={"properties": "lifecyclestage"})
            assert answer.json()["properties"]["lifecyclestage"] == expected

    async def test_archiving_is_repeatable_and_frees_the_email(self, hubspot: httpx.AsyncClient) -> None:
        contact = await created(hubspot, CONTACTS, email="a@example.com")
        path = f"{CONTACTS}/{contact['id']}"
        for _ in range(2):
            answer = await hubspot.delete(path)
            assert (answer.status_code, answer.content) == (204, b"")
        assert (await hubspot.get(path)).status_code == 404
        assert (await hubspot.get(path, params={"archived": "true"})).status_code == 200
        assert (await hubspot.delete(f"{CONTACTS}/999")).status_code == 204
        await created(hubspot, CONTACTS, email="a@example.com")

    async def test_a_merge_makes_a_new_id_to_which_both_old_ones_lead(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        deal = {"dealname": "d", "dealstage": "closedwon"}
        made = emulator.seed(
            {
                "contacts": [
                    {"email": "a@example.com"},
                    {"email": "b@example.com", "phone": "1", "deals": [deal]},
                ]
            }
        )
        one, two = made["contacts"]
        answer = await hubspot.post(
            f"{CONTACTS}/merge", json={"primaryObjectId": one, "objectIdToMerge": two}
        )
        survivor = answer.json()["id"]
        assert survivor not in (one, two)
        assert answer.json()["properties"]["hs_merged_object_ids"] == f"{one};{two}"
        for old in (one, two):
            found = (
                await hubspot.get(
                    f"{CONTACTS}/{old}", params={"properties": "email,phone,hs_additional_emails"}
                )
            ).json()
            assert found["id"] == survivor
            assert found["properties"]["email"] == "a@example.com"
            assert found["properties"]["phone"] == "1"
            assert found["properties"]["hs_additional_emails"] == "b@example.com"
        assert emulator.associations("contacts", survivor, "deals") == made["deals"]
        # The merged-away address is the survivor's, and nobody else's.
        taken = await hubspot.post(CONTACTS, json={"properties": {"email": "b@example.com"}})
        assert taken.json()["message"].endswith(f"Existing ID: {survivor}")
        assert [each.id for each in emulator.records("contacts")] == [survivor]

    async def test_an_erased_contact_is_gone(self, hubspot: httpx.AsyncClient) -> None:
        await created(hubspot, CONTACTS, email="a@example.com")
        body = {"objectId": "a@example.com", "idProperty": "email"}
        assert (await hubspot.post(f"{CONTACTS}/gdpr-delete", json=body)).status_code == 204
        assert (await hubspot.get(CONTACTS)).json()["results"] == []


class TestRequiredByAnAdministrator:
    async def test_it_binds_the_newest_version_only(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["phone"]}
        body = {"properties": {"email": "a@example.com"}}
        answer = await hubspot.post(CONTACTS, json=body)
        assert answer.status_code == 400
        assert answer.json()["message"] == "The property values provided are invalid"
        assert answer.json()["errors"][0]["code"] == "MISSING_REQUIRED_PROPERTY"
        assert (await hubspot.post("/crm/objects/2026-03/contacts", json=body)).status_code == 201

    async def test_a_condition_binds_updates_too(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.conditional_properties = {"contacts": {"country": ["state"]}}
        contact = await created(hubspot, CONTACTS, email="a@example.com")
        path = f"{CONTACTS}/{contact['id']}"
        answer = await hubspot.patch(path, json={"properties": {"country": "US"}})
        assert answer.json()["errors"][0]["code"] == "MISSING_CONDITIONAL_REQUIRED_PROPERTY"
        answer = await hubspot.patch(path, json={"properties": {"country": "US", "state": "CA"}})
        assert answer.status_code == 200


class TestUnknownUrls:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/crm/v3/objects/companies",
            "/crm/v9/objects/contacts",
            "/crm/objects/2026-09",
            "/emulator/reset",
            "/crm/v4/objects/contacts",
        ],
    )
    async def test_they_are_hubspots_404(self, hubspot: httpx.AsyncClient, path: str) -> None:
        answer = await hubspot.get(path)
        assert answer.status_code == 404
        assert answer.json()["status"] == "error"
        assert answer.json()["correlationId"]
