"""HubSpot's own Python client against the emulator over a socket, as a stranger would use it."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from hubspot.crm.associations.v4 import (
    AssociationSpec,
    BatchInputPublicDefaultAssociationMultiPost,
    BatchInputPublicFetchAssociationsBatchRequest,
    PublicDefaultAssociationMultiPost,
    PublicFetchAssociationsBatchRequest,
    PublicObjectId,
)
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    BatchReadInputSimplePublicObjectId,
    Filter,
    FilterGroup,
    PublicMergeInput,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInput,
    SimplePublicObjectBatchInputForCreate,
    SimplePublicObjectBatchInputUpsert,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.pipelines import PipelineInput, PipelinePatchInput, PipelineStageInput
from hubspot.crm.properties import OptionInput, PropertyCreate, PropertyUpdate

import hubspot
from hubspot_emulator import Emulator, create_emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    emulator = create_emulator()
    yield emulator
    emulator.close()


@pytest.fixture(scope="module")
def address(emulator: Emulator) -> Iterator[str]:
    """The emulator on a socket of its own."""
    config = uvicorn.Config(emulator.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive(), "the emulator did not start"
        assert time.monotonic() < deadline, "the emulator did not start within 10 seconds"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def crm(address: str) -> Iterator[Any]:
    """`client.crm` with a token that the emulator issued."""
    token = a_token(address)
    built: list[Any] = []

    def api_factory(package: Any, name: str, settings: dict[str, Any]) -> Any:
        api_client = package.ApiClient(configuration=configured(package, settings))
        built.append(api_client)
        return getattr(package, name)(api_client=api_client)

    client = hubspot.Client.create(access_token=token.access_token, host=address, api_factory=api_factory)
    yield client.crm
    close(built)


def configured(package: Any, settings: dict[str, Any]) -> Any:
    configuration = package.Configuration()
    for name, value in settings.items():
        setattr(configuration, name, value)
    return configuration


def close(api_clients: list[Any]) -> None:
    """The client leaves its sockets to the garbage collector; we count an unclosed one as a failure."""
    for api_client in api_clients:
        api_client.rest_client.pool_manager.clear()
        api_client.close()


def a_token(address: str, refresh_token: str = "demo-refresh-token") -> Any:
    package = __import__("hubspot.oauth", fromlist=["oauth"])
    api_client = package.ApiClient(configuration=configured(package, {"host": address}))
    try:
        return package.TokensApi(api_client=api_client).create(
            grant_type="refresh_token",
            client_id="demo-client-id",
            client_secret="demo-client-secret",
            refresh_token=refresh_token,
        )
    finally:
        close([api_client])


def an_email(name: str = "python") -> str:
    return f"{name}-{uuid.uuid4().hex}@example.com"


def a_contact(crm: Any, **properties: str) -> Any:
    body = SimplePublicObjectInputForCreate(properties={"email": an_email()} | properties, associations=[])
    return crm.contacts.basic_api.create(body)


def a_deal(crm: Any, *, associations: list[dict[str, Any]] | None = None, **properties: str) -> Any:
    body = {
        "properties": {"dealname": "Fleet", "dealstage": "appointmentscheduled"} | properties,
        "associations": associations or [],
    }
    return crm.deals.basic_api.create(body)


def status_of(call: Callable[[], Any]) -> int:
    """The status of a refused call; each package of the client has an exception class of its own."""
    with pytest.raises(Exception, match=r"\(\d{3}\)") as caught:
        call()
    status: int = caught.value.status  # type: ignore[attr-defined]
    return status


class TestTokens:
    def test_a_refresh_token_buys_an_access_token(self, address: str) -> None:
        token = a_token(address)
        assert token.token_type == "bearer"
        assert token.expires_in == 1800
        assert token.refresh_token == "demo-refresh-token"

    def test_an_unknown_refresh_token_is_refused(self, address: str) -> None:
        assert status_of(lambda: a_token(address, "nothing-of-ours")) == 400


class TestRecords:
    def test_a_contact_is_created_read_changed_listed_and_archived(self, crm: Any) -> None:
        created = a_contact(crm, firstname="Ada")
        assert created.id.isdigit()
        read = crm.contacts.basic_api.get_by_id(created.id, properties=["firstname", "phone"])
        assert read.properties["firstname"] == "Ada"
        assert read.properties["phone"] is None
        changed = crm.contacts.basic_api.update(
            created.id, SimplePublicObjectInput(properties={"firstname": "Grace"})
        )
        assert changed.properties["firstname"] == "Grace"
        assert created.id in {each.id for each in crm.contacts.get_all()}
        crm.contacts.basic_api.archive(created.id)
        assert status_of(lambda: crm.contacts.basic_api.get_by_id(created.id)) == 404

    def test_a_contact_is_read_and_changed_by_its_email(self, crm: Any) -> None:
        created = a_contact(crm)
        email = created.properties["email"]
        assert crm.contacts.basic_api.get_by_id(email, id_property="email").id == created.id
        body = SimplePublicObjectInput(properties={"lastname": "Lovelace"})
        assert crm.contacts.basic_api.update(email, body, id_property="email").id == created.id

    def test_a_second_contact_with_an_email_is_a_conflict(self, crm: Any) -> None:
        email = a_contact(crm).properties["email"]
        assert status_of(lambda: a_contact(crm, email=email)) == 409

    def test_a_merged_contact_answers_to_its_old_id(self, crm: Any) -> None:
        kept, gone = a_contact(crm), a_contact(crm)
        body = PublicMergeInput(primary_object_id=kept.id, object_id_to_merge=gone.id)
        survivor = crm.contacts.basic_api.merge(body)
        assert crm.contacts.basic_api.get_by_id(gone.id).id == survivor.id

    def test_a_deal_and_a_ticket_are_created_and_read(self, crm: Any) -> None:
        deal = a_deal(crm, amount="1500")
        assert crm.deals.basic_api.get_by_id(deal.id).properties["amount"] == "1500"
        body = {"properties": {"subject": "Late", "hs_pipeline_stage": "1"}, "associations": []}
        ticket = crm.tickets.basic_api.create(body)
        assert crm.tickets.basic_api.get_by_id(ticket.id).properties["hs_pipeline"] == "0"


class TestBatches:
    def test_contacts_are_created_read_changed_and_archived_together(self, crm: Any) -> None:
        api = crm.contacts.batch_api
        created = api.create(
            BatchInputSimplePublicObjectBatchInputForCreate(
                inputs=[
                    SimplePublicObjectBatchInputForCreate(properties={"email": an_email()}, associations=[])
                    for _ in range(3)
                ]
            )
        )
        ids = [SimplePublicObjectId(id=each.id) for each in created.results]
        assert len(ids) == 3
        read = api.read(
            BatchReadInputSimplePublicObjectId(inputs=ids, properties=["email"], properties_with_history=[])
        )
        assert {each.id for each in read.results} == {each.id for each in ids}
        changed = api.update(
            BatchInputSimplePublicObjectBatchInput(
                inputs=[
                    SimplePublicObjectBatchInput(id=each.id, properties={"lastname": "Batch"}) for each in ids
                ]
            )
        )
        assert {each.properties["lastname"] for each in changed.results} == {"Batch"}
        api.archive(BatchInputSimplePublicObjectId(inputs=ids))
        assert status_of(lambda: crm.contacts.basic_api.get_by_id(ids[0].id)) == 404

    def test_a_missing_id_makes_a_batch_read_partial(self, crm: Any) -> None:
        inputs = [SimplePublicObjectId(id=each) for each in (a_contact(crm).id, "999999999999")]
        body = BatchReadInputSimplePublicObjectId(
            inputs=inputs, properties=["email"], properties_with_history=[]
        )
        _, status, _ = crm.contacts.batch_api.read_with_http_info(body)
        assert status == 207
        read = crm.contacts.batch_api.read(body)
        assert [each.id for each in read.results] == [inputs[0].id]
        assert read.errors[0].category == "OBJECT_NOT_FOUND"

    def test_an_upsert_by_email_creates_and_then_updates(self, crm: Any) -> None:
        email = an_email()
        body = BatchInputSimplePublicObjectBatchInputUpsert(
            inputs=[
                SimplePublicObjectBatchInputUpsert(
                    id=email, id_property="email", properties={"firstname": "Ada"}
                )
            ]
        )
        first, second = (crm.contacts.batch_api.upsert(body).results[0] for _ in range(2))
        assert (first.new, second.new) == (True, False)
        assert first.id == second.id


class TestSearch:
    def test_a_search_filters_sorts_and_pages(self, crm: Any) -> None:
        company = uuid.uuid4().hex
        for firstname in ("Ada", "Grace", "Mary"):
            a_contact(crm, firstname=firstname, company=company)
        groups = [
            FilterGroup(
                filters=[
                    Filter(property_name="company", operator="EQ", value=company),
                    Filter(property_name="firstname", operator="NEQ", value="Grace"),
                ]
            )
        ]
        request = PublicObjectSearchRequest(
            filter_groups=groups, sorts=["-firstname"], properties=["firstname"], limit=1
        )
        first = crm.contacts.search_api.do_search(request)
        assert first.total == 2
        assert first.results[0].properties["firstname"] == "Mary"
        request.after = first.paging.next.after
        second = crm.contacts.search_api.do_search(request)
        assert second.results[0].properties["firstname"] == "Ada"
        assert second.paging is None


class TestAssociations:
    def test_a_deal_is_created_with_its_contact_and_read_with_it(self, crm: Any) -> None:
        contact = a_contact(crm)
        kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}
        deal = a_deal(crm, associations=[{"to": {"id": contact.id}, "types": [kind]}])
        read = crm.deals.basic_api.get_by_id(deal.id, associations=["contacts"])
        assert [each.id for each in read.associations["contacts"].results] == [contact.id]

    def test_links_are_made_read_from_the_other_side_and_removed(self, crm: Any) -> None:
        v4 = crm.associations.v4
        contact, deal = a_contact(crm), a_deal(crm)
        v4.basic_api.create_default("deals", deal.id, "contacts", contact.id)
        page = v4.basic_api.get_page("contacts", contact.id, "deals")
        assert [str(each.to_object_id) for each in page.results] == [deal.id]
        assert [each.type_id for each in page.results[0].association_types] == [4]
        v4.basic_api.archive("deals", deal.id, "contacts", contact.id)
        assert v4.basic_api.get_page("contacts", contact.id, "deals").results == []

    def test_a_link_of_a_named_type_is_made(self, crm: Any) -> None:
        contact, deal = a_contact(crm), a_deal(crm)
        kind = AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=3)
        made = crm.associations.v4.basic_api.create("deals", deal.id, "contacts", contact.id, [kind])
        assert str(made.to_object_id) == contact.id

    def test_links_of_many_records_are_made_and_read_together(self, crm: Any) -> None:
        v4 = crm.associations.v4
        contact, deals, lone = a_contact(crm), [a_deal(crm) for _ in range(2)], a_deal(crm)
        v4.batch_api.create_default(
            "deals",
            "contacts",
            BatchInputPublicDefaultAssociationMultiPost(
                inputs=[
                    PublicDefaultAssociationMultiPost(
                        _from=PublicObjectId(id=deal.id), to=PublicObjectId(id=contact.id)
                    )
                    for deal in deals
                ]
            ),
        )
        read = v4.batch_api.get_page(
            "deals",
            "contacts",
            BatchInputPublicFetchAssociationsBatchRequest(
                inputs=[PublicFetchAssociationsBatchRequest(id=each.id) for each in (*deals, lone)]
            ),
        )
        assert {each._from.id for each in read.results} == {each.id for each in deals}
        assert read.errors[0].context["fromObjectId"] == [lone.id]


class TestSchema:
    def test_a_pipeline_is_made_given_a_stage_renamed_and_listed(self, crm: Any) -> None:
        label = f"Repairs {uuid.uuid4().hex}"
        stage = PipelineStageInput(label="New", display_order=0, metadata={"ticketState": "OPEN"})
        made = crm.pipelines.pipelines_api.create(
            "tickets", PipelineInput(label=label, display_order=1, stages=[stage])
        )
        done = PipelineStageInput(label="Done", display_order=1, metadata={"ticketState": "CLOSED"})
        crm.pipelines.pipeline_stages_api.create("tickets", made.id, done)
        crm.pipelines.pipelines_api.update("tickets", made.id, PipelinePatchInput(label=f"{label} again"))
        (read,) = (
            each for each in crm.pipelines.pipelines_api.get_all("tickets").results if each.id == made.id
        )
        assert read.label == f"{label} again"
        assert {each.label for each in read.stages} == {"New", "Done"}
        assert {each.metadata["isClosed"] for each in read.stages} == {"true", "false"}

    def test_a_unique_property_is_made_and_finds_its_ticket(self, crm: Any) -> None:
        name = "python_client_key"
        definition = PropertyCreate(
            group_name="ticketinformation",
            name=name,
            label="Key",
            type="string",
            field_type="text",
            has_unique_value=True,
        )
        assert crm.properties.core_api.create("tickets", definition).has_unique_value is True
        body = {"properties": {"subject": "x", "hs_pipeline_stage": "1", name: "one"}, "associations": []}
        ticket = crm.tickets.basic_api.create(body)
        assert crm.tickets.basic_api.get_by_id("one", id_property=name).id == ticket.id
        assert status_of(lambda: crm.tickets.basic_api.create(body)) == 400

    def test_the_options_of_a_property_are_replaced(self, crm: Any) -> None:
        before = crm.properties.core_api.get_by_name("tickets", "hs_ticket_category").options
        option = OptionInput(label="Delivery", value="DELIVERY", display_order=9, hidden=False)
        crm.properties.core_api.update(
            "tickets", "hs_ticket_category", PropertyUpdate(options=[*before, option])
        )
        after = crm.properties.core_api.get_by_name("tickets", "hs_ticket_category").options
        assert [each.value for each in after] == [*(each.value for each in before), "DELIVERY"]
