"""Single contacts, deals and tickets, through HTTP requests without a client library."""

from typing import Any

import httpx
import pytest

from hubspot_emulator import Emulator

JSON = {"Content-Type": "application/json"}
CONTACTS, DEALS, TICKETS = (
    f"/crm/objects/2026-09/{object_type}" for object_type in ("contacts", "deals", "tickets")
)


async def create_record(hubspot: httpx.AsyncClient, path: str, **properties: Any) -> dict[str, Any]:
    response = await hubspot.post(path, json={"properties": properties})
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


class TestCreate:
    async def test_create_returns_id_and_values_as_strings(self, hubspot: httpx.AsyncClient) -> None:
        deal = await create_record(hubspot, DEALS, dealname="Fleet", dealstage="qualifiedtobuy", amount=1500)
        assert deal["id"].isdigit()
        assert deal["properties"]["hs_object_id"] == deal["id"]
        assert deal["properties"]["amount"] == "1500"
        assert deal["properties"]["pipeline"] == "default"
        # HubSpot returns all digits of the nearest binary fraction.
        probability = deal["properties"]["hs_deal_stage_probability"]
        assert probability == "0.40000000000000002220446049250313080847263336181640625"
        assert deal["properties"]["hs_is_closed"] == "false"
        assert list(deal["properties"]) == sorted(deal["properties"])
        assert deal["createdAt"].endswith("Z")

    async def test_create_returns_location_header(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.post(CONTACTS, json={"properties": {"email": "a@example.com"}})
        assert response.headers["location"] == f"{CONTACTS}/{response.json()['id']}"
        assert "associations" not in response.json()
        older = await hubspot.post(
            "/crm/v3/objects/contacts", json={"properties": {"email": "b@example.com"}}
        )
        assert older.headers["location"] == f"/crm/v3/objects/contacts/{older.json()['id']}"

    async def test_contact_email_is_lower_cased_and_unique(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email=" Ada@Example.COM ")
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
    async def test_create_with_invalid_value_returns_400_with_code(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, path: str, properties: dict[str, str], code: str
    ) -> None:
        response = await hubspot.post(path, json={"properties": properties})
        assert response.status_code == 400
        body = response.json()
        assert body["category"] == "VALIDATION_ERROR"
        assert [error["code"] for error in body["errors"]] == [code]
        assert body["message"].startswith("Property values were not valid: [{")
        assert emulator.records(path.rpartition("/")[2]) == []

    async def test_invalid_option_error_lists_allowed_options(self, hubspot: httpx.AsyncClient) -> None:
        body = {"properties": {"dealname": "d", "dealstage": "closedwon", "hs_priority": "HIGH"}}
        [error] = (await hubspot.post(DEALS, json=body)).json()["errors"]
        assert error["message"] == (
            "HIGH was not one of the allowed options: "
            '[label: "Low"\nvalue: "low"\n, label: "Medium"\nvalue: "medium"\n, label: "High"\nvalue: "high"\n]'
        )

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("2026-11-02", "2026-11-02T00:00:00.000Z"),
            ("2026-11-02T10:00:00.5+02:00", "2026-11-02T08:00:00.500Z"),
            ("1793613600000", "2026-11-02T10:00:00.000Z"),
            # Years before 1000 need leading zeros.
            ("-50000000000000", "0385-07-25T07:06:40.000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ],
    )
    async def test_datetime_property_is_returned_in_utc_milliseconds(
        self, hubspot: httpx.AsyncClient, sent: str, expected: str
    ) -> None:
        deal = await create_record(hubspot, DEALS, dealname="d", dealstage="closedwon", closedate=sent)
        assert deal["properties"]["closedate"] == expected

    @pytest.mark.parametrize(
        ("path", "properties"),
        [
            (CONTACTS, {"company": "C"}),
            (DEALS, {"dealname": "d", "pipeline": "default"}),
            (DEALS, {"dealstage": "closedwon"}),
            (TICKETS, {"subject": "t"}),
        ],
    )
    async def test_create_without_required_property_returns_400(
        self, hubspot: httpx.AsyncClient, path: str, properties: dict[str, str]
    ) -> None:
        response = await hubspot.post(path, json={"properties": properties})
        assert response.status_code == 400
        assert response.json()["category"] == "VALIDATION_ERROR"

    async def test_create_with_unknown_association_target_creates_nothing(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
        response = await hubspot.post(
            DEALS,
            json={
                "properties": {"dealname": "d", "dealstage": "closedwon"},
                "associations": [{"to": {"id": "404"}, "types": types}],
            },
        )
        assert response.status_code == 400
        assert response.json()["context"] == {"INVALID_OBJECT_IDS": ["CONTACT=404 is not valid"]}
        assert emulator.records("deals") == []

    async def test_create_refuses_association_type_of_opposite_direction(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        body = {
            "properties": {"dealname": "d", "dealstage": "closedwon"},
            "associations": [
                {
                    "to": {"id": contact["id"]},
                    # Type 4 is contact to deal; a deal needs type 3.
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}],
                }
            ],
        }
        assert (await hubspot.post(DEALS, json=body)).status_code == 400
        body["associations"][0]["types"][0]["associationTypeId"] = 3  # type: ignore[index]
        response = await hubspot.post(DEALS, json=body)
        assert response.status_code == 201
        assert emulator.associations("contacts", contact["id"], "deals") == [response.json()["id"]]
        assert emulator.associations("deals", response.json()["id"], "contacts") == [contact["id"]]

    async def test_record_in_a_closed_stage_gets_a_close_date(self, hubspot: httpx.AsyncClient) -> None:
        deal = await create_record(hubspot, DEALS, dealname="d", dealstage="closedwon")
        assert deal["properties"]["hs_is_closed_won"] == "true"
        assert deal["properties"]["closedate"] == deal["createdAt"]
        ticket = await create_record(hubspot, TICKETS, subject="t", hs_pipeline_stage="4")
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
    async def test_create_with_malformed_body_returns_400(
        self, hubspot: httpx.AsyncClient, content: bytes, message: str
    ) -> None:
        response = await hubspot.post(CONTACTS, content=content, headers=JSON)
        assert response.status_code == 400
        assert message in response.json()["message"]


class TestRead:
    async def test_read_by_percent_encoded_email_finds_the_contact(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a+b/c@example.com")
        response = await hubspot.get(f"{CONTACTS}/a%2Bb%2Fc%40Example.com", params={"idProperty": "email"})
        assert response.json()["id"] == contact["id"]

    async def test_read_returns_null_for_unset_and_empty_for_cleared_value(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        assert (await hubspot.patch(path, json={"properties": {"firstname": ""}})).status_code == 200
        response = await hubspot.get(path, params={"properties": "firstname,phone,no_such_property"})
        properties = response.json()["properties"]
        assert list(properties) == ["createdate", "firstname", "hs_object_id", "lastmodifieddate", "phone"]
        assert properties["firstname"] == ""
        assert properties["phone"] is None

    async def test_update_with_null_does_not_change_the_value(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        assert (await hubspot.patch(path, json={"properties": {"firstname": None}})).status_code == 200
        assert (await hubspot.get(path)).json()["properties"]["firstname"] == "A"

    async def test_ticket_read_returns_default_properties(self, hubspot: httpx.AsyncClient) -> None:
        ticket = await create_record(hubspot, TICKETS, subject="t", hs_pipeline_stage="1")
        response = await hubspot.get(f"/crm/v3/objects/0-5/{ticket['id']}")
        assert list(response.json()["properties"]) == [
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
    async def test_read_of_unknown_contact_returns_404(self, hubspot: httpx.AsyncClient, path: str) -> None:
        response = await hubspot.get(f"{CONTACTS}/{path}")
        assert response.status_code == 404
        assert response.json()["status"] == "error"

    async def test_read_by_hs_object_id_property_returns_400(self, hubspot: httpx.AsyncClient) -> None:
        response = await hubspot.get(f"{CONTACTS}/1", params={"idProperty": "hs_object_id"})
        assert response.status_code == 400
        assert "non-unique 0-1 property hs_object_id" in response.json()["message"]

    async def test_property_history_is_newest_first(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com", firstname="A")
        path = f"{CONTACTS}/{contact['id']}"
        await hubspot.patch(path, json={"properties": {"firstname": "B"}})
        response = await hubspot.get(path, params={"propertiesWithHistory": "firstname"})
        history = response.json()["propertiesWithHistory"]["firstname"]
        assert [entry["value"] for entry in history] == ["B", "A"]

    async def test_record_read_has_the_first_page_of_associations(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.inline_association_page_size = 2
        deals = [{"dealname": f"d{number}", "dealstage": "closedwon"} for number in range(3)]
        created_ids = emulator.seed({"contacts": [{"email": "a@example.com", "deals": deals}]})
        response = await hubspot.get(
            f"{CONTACTS}/{created_ids['contacts'][0]}", params={"associations": "deals,tickets,companies"}
        )
        found = response.json()["associations"]
        assert list(found) == ["deals"]
        assert found["deals"]["results"] == [
            {"id": deal_id, "type": "contact_to_deal"} for deal_id in created_ids["deals"][:2]
        ]
        assert found["deals"]["paging"]["next"]["after"]


class TestList:
    async def test_list_returns_pages_by_ascending_id(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        created_ids = emulator.seed(
            {"contacts": [{"email": f"a{number}@example.com"} for number in range(25)]}
        )
        emulator.archive_as_other_actor("contacts", created_ids["contacts"][3])
        found, params = [], {"limit": "10"}
        while True:
            page = (await hubspot.get(CONTACTS, params=params)).json()
            found += [result["id"] for result in page["results"]]
            if "paging" not in page:
                break
            assert isinstance(page["paging"]["next"]["after"], str)
            params["after"] = page["paging"]["next"]["after"]
        assert found == created_ids["contacts"][:3] + created_ids["contacts"][4:]
        archived = (await hubspot.get(CONTACTS, params={"archived": "true"})).json()["results"]
        assert [result["id"] for result in archived] == [created_ids["contacts"][3]]
        assert archived[0]["archivedAt"]

    @pytest.mark.parametrize(
        "params",
        [{"limit": "101"}, {"limit": "0"}, {"limit": "x"}, {"limit": "51", "propertiesWithHistory": "email"}],
    )
    async def test_list_with_invalid_limit_returns_400(
        self, hubspot: httpx.AsyncClient, params: dict[str, str]
    ) -> None:
        assert (await hubspot.get(CONTACTS, params=params)).status_code == 400


class TestUpdate:
    async def test_update_by_email_changes_the_contact(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        response = await hubspot.patch(
            f"{CONTACTS}/A%40example.com",
            params={"idProperty": "email"},
            json={"properties": {"lastname": "L"}},
        )
        assert response.json()["id"] == contact["id"]
        assert response.json()["properties"]["lastname"] == "L"

    @pytest.mark.parametrize("status", [409, 400])
    async def test_update_to_duplicate_email_names_the_existing_contact(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, status: int
    ) -> None:
        emulator.switches.duplicate_email_is_400 = status == 400
        first = await create_record(hubspot, CONTACTS, email="a@example.com")
        second = await create_record(hubspot, CONTACTS, email="b@example.com")
        response = await hubspot.patch(
            f"{CONTACTS}/{second['id']}", json={"properties": {"email": "A@example.com"}}
        )
        assert (response.status_code, first["id"] in response.json()["message"]) == (status, True)
        assert "errors" not in response.json()

    async def test_replaced_email_can_be_used_again(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        await hubspot.patch(f"{CONTACTS}/{contact['id']}", json={"properties": {"email": "b@example.com"}})
        assert (await create_record(hubspot, CONTACTS, email="a@example.com"))["id"] != contact["id"]

    async def test_lifecycle_stage_moves_back_only_after_being_cleared(
        self, hubspot: httpx.AsyncClient
    ) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com", lifecyclestage="customer")
        path = f"{CONTACTS}/{contact['id']}"
        for value, expected in (("lead", "customer"), ("", ""), ("lead", "lead")):
            await hubspot.patch(path, json={"properties": {"lifecyclestage": value}})
            response = await hubspot.get(path, params={"properties": "lifecyclestage"})
            assert response.json()["properties"]["lifecyclestage"] == expected

    async def test_archive_is_idempotent_and_frees_the_email(self, hubspot: httpx.AsyncClient) -> None:
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        path = f"{CONTACTS}/{contact['id']}"
        for _ in range(2):
            response = await hubspot.delete(path)
            assert (response.status_code, response.content) == (204, b"")
        assert (await hubspot.get(path)).status_code == 404
        assert (await hubspot.get(path, params={"archived": "true"})).status_code == 200
        assert (await hubspot.delete(f"{CONTACTS}/999")).status_code == 204
        await create_record(hubspot, CONTACTS, email="a@example.com")

    async def test_merged_contact_has_new_id_and_is_found_by_both_old_ids(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        deal = {"dealname": "d", "dealstage": "closedwon"}
        created_ids = emulator.seed(
            {
                "contacts": [
                    {"email": "a@example.com"},
                    {"email": "b@example.com", "phone": "1", "deals": [deal]},
                ]
            }
        )
        one, two = created_ids["contacts"]
        response = await hubspot.post(
            f"{CONTACTS}/merge", json={"primaryObjectId": one, "objectIdToMerge": two}
        )
        survivor = response.json()["id"]
        assert survivor not in (one, two)
        assert response.json()["properties"]["hs_merged_object_ids"] == f"{one};{two}"
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
        assert emulator.associations("contacts", survivor, "deals") == created_ids["deals"]
        # The survivor keeps the e-mail address of the merged contact.
        taken = await hubspot.post(CONTACTS, json={"properties": {"email": "b@example.com"}})
        assert taken.json()["message"].endswith(f"Existing ID: {survivor}")
        assert [record.id for record in emulator.records("contacts")] == [survivor]

    async def test_gdpr_delete_by_email_removes_the_contact(self, hubspot: httpx.AsyncClient) -> None:
        await create_record(hubspot, CONTACTS, email="a@example.com")
        body = {"objectId": "a@example.com", "idProperty": "email"}
        assert (await hubspot.post(f"{CONTACTS}/gdpr-delete", json=body)).status_code == 204
        assert (await hubspot.get(CONTACTS)).json()["results"] == []


class TestAdministratorRules:
    async def test_required_property_rule_applies_to_2026_09_not_2026_03(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"contacts": ["phone"]}
        body = {"properties": {"email": "a@example.com"}}
        response = await hubspot.post(CONTACTS, json=body)
        assert response.status_code == 400
        assert response.json()["message"] == "The property values provided are invalid"
        assert response.json()["errors"][0]["code"] == "MISSING_REQUIRED_PROPERTY"
        assert (await hubspot.post("/crm/objects/2026-03/contacts", json=body)).status_code == 201

    async def test_conditional_property_rule_applies_to_updates(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.conditional_properties = {"contacts": {"country": ["state"]}}
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        path = f"{CONTACTS}/{contact['id']}"
        response = await hubspot.patch(path, json={"properties": {"country": "US"}})
        assert response.json()["errors"][0]["code"] == "MISSING_CONDITIONAL_REQUIRED_PROPERTY"
        response = await hubspot.patch(path, json={"properties": {"country": "US", "state": "CA"}})
        assert response.status_code == 200

    @pytest.mark.parametrize(("country", "status"), [("US", 400), ("FR", 200)])
    async def test_conditional_property_rule_may_name_a_value(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, country: str, status: int
    ) -> None:
        emulator.switches.conditional_properties = {"contacts": {"country=US": ["state"]}}
        contact = await create_record(hubspot, CONTACTS, email="a@example.com")
        body = {"properties": {"country": country}}
        response = await hubspot.patch(f"{CONTACTS}/{contact['id']}", json=body)
        assert response.status_code == status

    @pytest.mark.parametrize(
        ("rule", "argument", "valid", "invalid"),
        [
            ("MIN_NUMBER", "100", "100", "99.9"),
            ("MAX_NUMBER", "100", "100", "100.1"),
            ("MIN_LENGTH", "2", "10", "9"),
            ("MAX_LENGTH", "2", "10", "100"),
            ("REGEX", "[0-9]+", "10", "1.5"),
        ],
    )
    async def test_validation_rule_refuses_value_in_creates_and_updates(
        self,
        hubspot: httpx.AsyncClient,
        emulator: Emulator,
        rule: str,
        argument: str,
        valid: str,
        invalid: str,
    ) -> None:
        emulator.switches.update({"validation_rules": {"deals": {"amount": {rule: argument}}}})
        deal = await create_record(hubspot, DEALS, dealname="d", amount=valid)
        path = f"{DEALS}/{deal['id']}"
        for response in (
            await hubspot.post(DEALS, json={"properties": {"dealname": "d", "amount": invalid}}),
            await hubspot.patch(path, json={"properties": {"amount": invalid}}),
        ):
            assert response.status_code == 400
            assert response.json()["errors"][0]["context"] == {"propertyName": ["amount"]}
        assert (await hubspot.patch(path, json={"properties": {"amount": ""}})).status_code == 200

    async def test_object_schema_lists_required_properties(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.required_properties = {"deals": ["amount", "dealname"]}
        response = await hubspot.get("/crm-object-schemas/2026-09/schemas/deals")
        assert response.json()["requiredProperties"] == ["dealname", "amount"]
        assert (await hubspot.get("/crm-object-schemas/2026-09/schemas/0-1")).json()[
            "requiredProperties"
        ] == []
        assert (await hubspot.post("/crm-object-schemas/2026-09/schemas/deals", json={})).status_code == 405


class TestScopes:
    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("GET", CONTACTS, "crm.objects.contacts.read"),
            ("POST", f"{CONTACTS}/search", "crm.objects.contacts.read"),
            ("POST", f"{CONTACTS}/batch/read", "crm.objects.contacts.read"),
            ("POST", CONTACTS, "crm.objects.contacts.write"),
            ("POST", f"{CONTACTS}/batch/create", "crm.objects.contacts.write"),
            ("DELETE", "/crm/objects/2026-09/tickets/1", "tickets"),
            ("DELETE", "/crm/objects/2026-09/tickets/1", "crm.objects.tickets.write"),
            ("GET", "/crm/properties/2026-09/deals", "crm.schemas.deals.read"),
            ("POST", "/crm/properties/2026-09/deals", "crm.schemas.deals.write"),
            ("GET", "/crm/pipelines/2026-09/deals", "crm.objects.deals.read"),
            ("POST", "/crm/associations/2026-09/deals/contacts/batch/read", "crm.objects.deals.read"),
        ],
    )
    async def test_call_without_its_scope_is_403(
        self, hubspot: httpx.AsyncClient, emulator: Emulator, method: str, path: str, scope: str
    ) -> None:
        every = {
            f"crm.{kind}.{name}.{right}"
            for kind in ("objects", "schemas")
            for name in ("contacts", "deals", "tickets")
            for right in ("read", "write")
        }
        alternatives = {scope, "crm.schemas.deals.read", "tickets", "crm.objects.tickets.write"}
        emulator.switches.update({"scopes": sorted(every - alternatives)})
        response = await hubspot.request(method, path, json={})
        assert (response.status_code, response.json()["category"]) == (403, "MISSING_SCOPES")
        assert scope in response.json()["errors"][0]["context"]["requiredGranularScopes"]
        emulator.switches.update({"scopes": [scope]})
        assert (await hubspot.request(method, path, json={})).status_code != 403

    async def test_account_details_need_no_scope(
        self, hubspot: httpx.AsyncClient, emulator: Emulator
    ) -> None:
        emulator.switches.update({"scopes": []})
        assert (await hubspot.get("/account-info/2026-09/details")).status_code == 200


class TestUnknownUrls:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/crm/v3/objects/companies",
            "/crm/v9/objects/contacts",
            "/crm/objects/2026-09",
            "/emulator/reset",
        ],
    )
    async def test_unknown_url_returns_hubspot_404(self, hubspot: httpx.AsyncClient, path: str) -> None:
        response = await hubspot.get(path)
        assert response.status_code == 404
        assert response.json()["status"] == "error"
        assert response.json()["correlationId"]
