"""HubSpot's own Python client against the emulator over a socket."""

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
    """Serve the emulator on a socket and yield its address."""
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
    """Yield `client.crm` with a token that the emulator issued."""
    token = request_token(address)
    built: list[Any] = []

    def api_factory(package: Any, name: str, settings: dict[str, Any]) -> Any:
        api_client = package.ApiClient(configuration=build_configuration(package, settings))
        built.append(api_client)
        return getattr(package, name)(api_client=api_client)

    client = hubspot.Client.create(access_token=token.access_token, host=address, api_factory=api_factory)
    yield client.crm
    close_clients(built)


def build_configuration(package: Any, settings: dict[str, Any]) -> Any:
    configuration = package.Configuration()
    for name, value in settings.items():
        setattr(configuration, name, value)
    return configuration


def close_clients(api_clients: list[Any]) -> None:
    """Close the sockets, which the client leaves open: pytest reports an unclosed socket as an error."""
    for api_client in api_clients:
        api_client.rest_client.pool_manager.clear()
        api_client.close()


def request_token(address: str, refresh_token: str = "demo-refresh-token") -> Any:
    package = __import__("hubspot.oauth", fromlist=["oauth"])
    api_client = package.ApiClient(configuration=build_configuration(package, {"host": address}))
    try:
        return package.TokensApi(api_client=api_client).create(
            grant_type="refresh_token",
            client_id="demo-client-id",
            client_secret="demo-client-secret",
            refresh_token=refresh_token,
        )
    finally:
        close_clients([api_client])


def unique_email(name: str = "python") -> str:
    return f"{name}-{uuid.uuid4().hex}@example.com"


def create_contact(crm: Any, **properties: str) -> Any:
    body = SimplePublicObjectInputForCreate(
        properties={"email": unique_email()} | properties, associations=[]
    )
    return crm.contacts.basic_api.create(body)


def create_deal(crm: Any, *, associations: list[dict[str, Any]] | None = None, **properties: str) -> Any:
    body = {
        "properties": {"dealname": "Fleet", "dealstage": "appointmentscheduled"} | properties,
        "associations": associations or [],
    }
    return crm.deals.basic_api.create(body)


def status_of(call: Callable[[], Any]) -> int:
    """Return the status of a refused call. Every package of the client has its own exception class."""
    with pytest.raises(Exception, match=r"\(\d{3}\)") as caught:
        call()
    status: int = caught.value.status  # type: ignore[attr-defined]
    return status


class TestTokens:
    def test_refresh_token_returns_access_token(self, address: str) -> None:
        token = request_token(address)
        assert token.token_type == "bearer"
        assert token.expires_in == 1800
        assert token.refresh_token == "demo-refresh-token"

    def test_unknown_refresh_token_returns_400(self, address: str) -> None:
        assert status_of(lambda: request_token(address, "nothing-of-ours")) == 400


class TestRecords:
    def test_contact_is_created_read_updated_and_archived(self, crm: Any) -> None:
        created = create_contact(crm, firstname="Ada")
        assert created.id.isdigit()
        read = crm.contacts.basic_api.get_by_id(created.id, properties=["firstname", "phone"])
        assert read.properties["firstname"] == "Ada"
        assert read.properties["phone"] is None
        changed = crm.contacts.basic_api.update(
            created.id, SimplePublicObjectInput(properties={"firstname": "Grace"})
        )
        assert changed.properties["firstname"] == "Grace"
        assert created.id in {result.id for result in crm.contacts.get_all()}
        crm.contacts.basic_api.archive(created.id)
        assert status_of(lambda: crm.contacts.basic_api.get_by_id(created.id)) == 404

    def test_read_and_update_by_email_return_the_same_contact(self, crm: Any) -> None:
        created = create_contact(crm)
        email = created.properties["email"]
        assert crm.contacts.basic_api.get_by_id(email, id_property="email").id == created.id
        body = SimplePublicObjectInput(properties={"lastname": "Lovelace"})
        assert crm.contacts.basic_api.update(email, body, id_property="email").id == created.id

    def test_duplicate_email_returns_409(self, crm: Any) -> None:
        email = create_contact(crm).properties["email"]
        assert status_of(lambda: create_contact(crm, email=email)) == 409

    def test_merged_contact_is_found_by_old_id(self, crm: Any) -> None:
        primary, merged = create_contact(crm), create_contact(crm)
        body = PublicMergeInput(primary_object_id=primary.id, object_id_to_merge=merged.id)
        survivor = crm.contacts.basic_api.merge(body)
        assert crm.contacts.basic_api.get_by_id(merged.id).id == survivor.id

    def test_deal_and_ticket_are_created_and_read(self, crm: Any) -> None:
        deal = create_deal(crm, amount="1500")
        assert crm.deals.basic_api.get_by_id(deal.id).properties["amount"] == "1500"
        body = {"properties": {"subject": "Late", "hs_pipeline_stage": "1"}, "associations": []}
        ticket = crm.tickets.basic_api.create(body)
        assert crm.tickets.basic_api.get_by_id(ticket.id).properties["hs_pipeline"] == "0"


class TestBatches:
    def test_contact_batches_create_read_update_and_archive(self, crm: Any) -> None:
        api = crm.contacts.batch_api
        created = api.create(
            BatchInputSimplePublicObjectBatchInputForCreate(
                inputs=[
                    SimplePublicObjectBatchInputForCreate(
                        properties={"email": unique_email()}, associations=[]
                    )
                    for _ in range(3)
                ]
            )
        )
        ids = [SimplePublicObjectId(id=result.id) for result in created.results]
        assert len(ids) == 3
        read = api.read(
            BatchReadInputSimplePublicObjectId(inputs=ids, properties=["email"], properties_with_history=[])
        )
        assert {record.id for record in read.results} == {record.id for record in ids}
        changed = api.update(
            BatchInputSimplePublicObjectBatchInput(
                inputs=[
                    SimplePublicObjectBatchInput(id=record.id, properties={"lastname": "Batch"})
                    for record in ids
                ]
            )
        )
        assert {result.properties["lastname"] for result in changed.results} == {"Batch"}
        api.archive(BatchInputSimplePublicObjectId(inputs=ids))
        assert status_of(lambda: crm.contacts.basic_api.get_by_id(ids[0].id)) == 404

    def test_batch_read_with_missing_id_returns_207(self, crm: Any) -> None:
        inputs = [
            SimplePublicObjectId(id=contact_id) for contact_id in (create_contact(crm).id, "999999999999")
        ]
        body = BatchReadInputSimplePublicObjectId(
            inputs=inputs, properties=["email"], properties_with_history=[]
        )
        _, status, _ = crm.contacts.batch_api.read_with_http_info(body)
        assert status == 207
        read = crm.contacts.batch_api.read(body)
        assert [result.id for result in read.results] == [inputs[0].id]
        assert read.errors[0].category == "OBJECT_NOT_FOUND"

    def test_upsert_by_email_creates_and_then_updates(self, crm: Any) -> None:
        email = unique_email()
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
    def test_search_filters_sorts_and_pages(self, crm: Any) -> None:
        company = uuid.uuid4().hex
        for firstname in ("Ada", "Grace", "Mary"):
            create_contact(crm, firstname=firstname, company=company)
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
    def test_deal_created_with_contact_is_read_with_association(self, crm: Any) -> None:
        contact = create_contact(crm)
        association_type = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}
        deal = create_deal(crm, associations=[{"to": {"id": contact.id}, "types": [association_type]}])
        read = crm.deals.basic_api.get_by_id(deal.id, associations=["contacts"])
        assert [result.id for result in read.associations["contacts"].results] == [contact.id]

    def test_association_is_created_read_inversely_and_removed(self, crm: Any) -> None:
        v4 = crm.associations.v4
        contact, deal = create_contact(crm), create_deal(crm)
        v4.basic_api.create_default("deals", deal.id, "contacts", contact.id)
        page = v4.basic_api.get_page("contacts", contact.id, "deals")
        assert [str(result.to_object_id) for result in page.results] == [deal.id]
        assert [result.type_id for result in page.results[0].association_types] == [4]
        v4.basic_api.archive("deals", deal.id, "contacts", contact.id)
        assert v4.basic_api.get_page("contacts", contact.id, "deals").results == []

    def test_association_with_given_type_is_created(self, crm: Any) -> None:
        contact, deal = create_contact(crm), create_deal(crm)
        association_type = AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=3)
        created = crm.associations.v4.basic_api.create(
            "deals", deal.id, "contacts", contact.id, [association_type]
        )
        assert str(created.to_object_id) == contact.id

    def test_association_batches_create_and_read(self, crm: Any) -> None:
        v4 = crm.associations.v4
        contact, deals, lone = create_contact(crm), [create_deal(crm) for _ in range(2)], create_deal(crm)
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
                inputs=[PublicFetchAssociationsBatchRequest(id=record.id) for record in (*deals, lone)]
            ),
        )
        assert {record._from.id for record in read.results} == {record.id for record in deals}
        assert read.errors[0].context["fromObjectId"] == [lone.id]


class TestSchema:
    def test_pipeline_is_created_renamed_and_listed_with_new_stage(self, crm: Any) -> None:
        label = f"Repairs {uuid.uuid4().hex}"
        done = PipelineStageInput(label="Done", display_order=1, metadata={"ticketState": "CLOSED"})
        created = crm.pipelines.pipelines_api.create(
            "tickets", PipelineInput(label=label, display_order=1, stages=[done])
        )
        stage = PipelineStageInput(label="New", display_order=0, metadata={"ticketState": "OPEN"})
        crm.pipelines.pipeline_stages_api.create("tickets", created.id, stage)
        crm.pipelines.pipelines_api.update("tickets", created.id, PipelinePatchInput(label=f"{label} again"))
        (read,) = (
            result
            for result in crm.pipelines.pipelines_api.get_all("tickets").results
            if result.id == created.id
        )
        assert read.label == f"{label} again"
        assert {stage.label for stage in read.stages} == {"New", "Done"}
        assert {stage.metadata["isClosed"] for stage in read.stages} == {"true", "false"}

    def test_unique_property_is_created_and_finds_ticket(self, crm: Any) -> None:
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

    def test_property_update_stores_the_given_options(self, crm: Any) -> None:
        before = crm.properties.core_api.get_by_name("tickets", "hs_ticket_category").options
        option = OptionInput(label="Delivery", value="DELIVERY", display_order=9, hidden=False)
        crm.properties.core_api.update(
            "tickets", "hs_ticket_category", PropertyUpdate(options=[*before, option])
        )
        after = crm.properties.core_api.get_by_name("tickets", "hs_ticket_category").options
        assert [option.value for option in after] == [*(option.value for option in before), "DELIVERY"]
