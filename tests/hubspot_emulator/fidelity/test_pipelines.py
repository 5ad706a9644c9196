"""Administration of pipelines, stages, properties, groups and association labels."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import DEALS

PIPELINES, PROPERTIES = "/crm/pipelines/2026-09", "/crm/properties/2026-09"
OPEN, CLOSED = ({"ticketState": state} for state in ("OPEN", "CLOSED"))


def ticket_pipeline(*stages: tuple[str, dict[str, str]], **members: Any) -> dict[str, Any]:
    rows = [
        {"label": label, "displayOrder": order, "metadata": metadata}
        for order, (label, metadata) in enumerate(stages)
    ]
    return {"label": f"Fidelity {uuid.uuid4().hex}", "displayOrder": 9, "stages": rows} | members


def deal_stage(**members: Any) -> dict[str, Any]:
    return {"label": "Fidelity", "displayOrder": 0, "metadata": {"probability": "0.5"}} | members


@pytest.fixture
async def pipeline(hubspot: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    body = ticket_pipeline(("Open", OPEN), ("Done", CLOSED), pipelineId=f"fidelity-{uuid.uuid4().hex[:20]}")
    response = await hubspot.post(f"{PIPELINES}/tickets", json=body)
    assert response.status_code == 201, response.text
    yield response.json()
    await hubspot.delete(f"{PIPELINES}/tickets/{response.json()['id']}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (ticket_pipeline(), "Pipeline must have at least one stage"),
        (ticket_pipeline(("Open", OPEN)), "must have at least one closed stage"),
        (ticket_pipeline(("Done", CLOSED), (" done ", CLOSED)), "already exists"),
        (ticket_pipeline(("Done", CLOSED), displayOrder=-1), "Pipeline display order cannot be negative"),
        (ticket_pipeline(("Done", CLOSED), label="SUPPORT pipeline"), "An active pipeline with label"),
        (ticket_pipeline(("Done", CLOSED), pipelineId="0"), "There's another pipeline in this portal"),
    ],
    ids=["no stage", "no closed stage", "stage label", "order", "label", "id"],
)
async def test_invalid_pipeline_returns_400(
    hubspot: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    response = await hubspot.post(f"{PIPELINES}/tickets", json=body)
    assert response.status_code == 400
    assert message in response.json()["message"]


async def test_pipeline_with_id_of_stage_or_deal_pipeline_returns_409(hubspot: httpx.AsyncClient) -> None:
    with_stage = ticket_pipeline(("Done", CLOSED))
    with_stage["stages"][0]["stageId"] = "4"
    for body in (with_stage, ticket_pipeline(("Done", CLOSED), pipelineId="default")):
        response = await hubspot.post(f"{PIPELINES}/tickets", json=body)
        assert response.status_code == 409
        assert response.json()["subCategory"] == "PipelineError.STAGE_ID_EXISTS_IN_ANOTHER_PIPELINE"


async def test_stage_with_id_of_another_pipelines_stage_returns_400(
    hubspot: httpx.AsyncClient, pipeline: dict[str, Any]
) -> None:
    stage = {"label": "Other", "displayOrder": 5, "metadata": OPEN, "stageId": "4"}
    response = await hubspot.post(f"{PIPELINES}/tickets/{pipeline['id']}/stages", json=stage)
    assert response.status_code == 400
    assert "already using stage id 4" in response.json()["message"]
    assert "category" not in response.json()


async def test_last_closed_ticket_stage_cannot_be_deleted_or_opened(
    hubspot: httpx.AsyncClient, pipeline: dict[str, Any]
) -> None:
    stages = f"{PIPELINES}/tickets/{pipeline['id']}/stages"
    [closed] = [stage["id"] for stage in pipeline["stages"] if stage["label"] == "Done"]
    for response in (
        await hubspot.delete(f"{stages}/{closed}"),
        await hubspot.patch(f"{stages}/{closed}", json={"metadata": OPEN}),
    ):
        assert response.status_code == 400
        assert response.json()["subCategory"] == "PipelineError.MISSING_CLOSED_STAGE"


async def test_duplicate_stage_label_returns_400(
    hubspot: httpx.AsyncClient, pipeline: dict[str, Any]
) -> None:
    stage = {"label": "OPEN ", "displayOrder": 5, "metadata": OPEN}
    response = await hubspot.post(f"{PIPELINES}/tickets/{pipeline['id']}/stages", json=stage)
    assert response.status_code == 400
    assert response.json()["subCategory"] == "PipelineError.STAGE_LABEL_EXISTS"


async def test_deleted_pipeline_cannot_be_restored(
    hubspot: httpx.AsyncClient, pipeline: dict[str, Any]
) -> None:
    path = f"{PIPELINES}/tickets/{pipeline['id']}"
    assert (await hubspot.delete(path)).status_code == 204
    assert (await hubspot.patch(path, json={"archived": False})).status_code == 404
    assert (await hubspot.get(path)).status_code == 404


async def test_delete_of_stage_with_unknown_id_or_pipeline_returns_204(hubspot: httpx.AsyncClient) -> None:
    for path in ("tickets/0/stages/no-such-stage", "tickets/no-such-pipeline/stages/4"):
        assert (await hubspot.delete(f"{PIPELINES}/{path}")).status_code == 204
    assert (await hubspot.get(f"{PIPELINES}/tickets/0/stages/4")).status_code == 200


async def test_delete_of_stage_in_use_names_the_stage_and_records(hubspot: httpx.AsyncClient) -> None:
    stages = f"{PIPELINES}/deals/default/stages"
    stage = (await hubspot.post(stages, json=deal_stage(label=uuid.uuid4().hex))).json()["id"]
    deal = {"dealname": "Fidelity", "dealstage": stage}
    deal_id = (await hubspot.post(DEALS, json={"properties": deal})).json()["id"]
    response = await hubspot.delete(f"{stages}/{stage}")
    assert response.status_code == 400
    error = response.json()
    assert error["subCategory"] == "PipelineError.STAGE_ID_IN_USE"
    assert error["message"] == f"Stage IDs: [{stage}] are being referenced by object IDs: [{deal_id}]"
    assert error["context"] == {"stageIds": [f"[{stage}]"], "objectIds": [f"[{deal_id}]"]}
    await hubspot.delete(f"{DEALS}/{deal_id}")
    assert (await hubspot.delete(f"{stages}/{stage}")).status_code == 204


async def test_unknown_stage_metadata_keys_are_dropped(
    hubspot: httpx.AsyncClient, pipeline: dict[str, Any]
) -> None:
    path = f"{PIPELINES}/tickets/{pipeline['id']}/stages/{pipeline['stages'][0]['id']}"
    await hubspot.patch(path, json={"metadata": {"colour": "red"}})
    assert set((await hubspot.get(path)).json()["metadata"]) == {"ticketState", "isClosed"}


async def test_contacts_have_the_lifecycle_pipeline(hubspot: httpx.AsyncClient) -> None:
    [found] = (await hubspot.get(f"{PIPELINES}/contacts")).json()["results"]
    assert found["id"] == "contacts-lifecycle-pipeline"
    assert len(found["stages"]) == 8


async def test_default_pipeline_createdat_is_the_unix_epoch(hubspot: httpx.AsyncClient) -> None:
    found = (await hubspot.get(f"{PIPELINES}/tickets/0", headers={"Accept": "application/json"})).json()
    assert found["createdAt"] == "1970-01-01T00:00:00Z"


async def test_group_with_properties_cannot_be_deleted(hubspot: httpx.AsyncClient) -> None:
    response = await hubspot.delete(f"{PROPERTIES}/deals/groups/dealinformation")
    assert response.status_code == 400
    assert "category" not in response.json()
    error = json.loads(response.json()["message"])
    assert error["subCategory"] == "PropertyGroupError.GROUP_WITH_ACTIVE_PROPERTIES"
    assert error["correlationId"] == response.json()["correlationId"]


async def test_delete_of_unknown_property_returns_404(hubspot: httpx.AsyncClient) -> None:
    assert (await hubspot.delete(f"{PROPERTIES}/deals/no_such_property_at_all")).status_code == 404


async def test_association_label_with_existing_name_is_refused(hubspot: httpx.AsyncClient) -> None:
    labels = "/crm/associations/2026-09/contacts/deals/labels"
    body = {"label": f"Fidelity {uuid.uuid4().hex}", "name": f"fidelity_{uuid.uuid4().hex[:20]}"}
    created = await hubspot.post(labels, json=body)
    assert created.status_code == 200
    again = await hubspot.post(labels, json=body | {"label": f"Fidelity {uuid.uuid4().hex}"})
    assert 400 <= again.status_code < 500
    await hubspot.delete(f"{labels}/{created.json()['results'][0]['typeId']}")
