"""The check against HubSpot's published documents: valid exchanges pass, invalid ones fail."""

from typing import Any

import httpx
import pytest
from tests.support.emulator_transport import EmulatorTransport
from tests.support.hubspot_contract import (
    DEVIATIONS,
    DOCUMENTS_VARIABLE,
    Exchange,
    HubSpotContract,
    checked_against_documents,
    published_contract,
)

from hubspot_emulator import create_emulator

DEALS = "/crm/objects/2026-09/deals"


@pytest.fixture(scope="module")
def contract() -> HubSpotContract:
    found = published_contract()
    if found is None:
        pytest.skip(f"{DOCUMENTS_VARIABLE} is not set: nothing is checked against HubSpot's documents")
    return found


class TestContract:
    def exchange_with(self, **changes: Any) -> Exchange:
        record = {
            "id": "1",
            "properties": {"amount": "10"},
            "createdAt": "2026-11-02T10:00:00.000Z",
            "updatedAt": "2026-11-02T10:00:00.000Z",
            "archived": False,
        }
        valid = {
            "method": "POST",
            "path": DEALS,
            "query": {},
            "body": {"properties": {"amount": "10"}},
            "status": 201,
            "response": record | changes.pop("response", {}),
        }
        return Exchange(**(valid | changes))

    def test_contract_check_accepts_a_valid_exchange(self, contract: HubSpotContract) -> None:
        assert contract.request_problems(self.exchange_with()) == []
        assert contract.response_problems(self.exchange_with()) == []

    def test_object_type_id_in_path_is_checked_as_its_name(self, contract: HubSpotContract) -> None:
        exchange = self.exchange_with(path="/crm/objects/2026-09/0-3", response={"id": 1})
        assert contract.response_problems(exchange) == ["id: 1 is not of type 'string'"]

    @pytest.mark.parametrize(
        "response",
        [
            {"id": 1},
            {"properties": {"amount": 10}},
            {"createdAt": "yesterday"},
            {"invented": True},
            {"archived": None},
        ],
        ids=lambda response: next(iter(response)),
    )
    def test_contract_check_reports_an_invalid_response(
        self, contract: HubSpotContract, response: dict[str, Any]
    ) -> None:
        assert len(contract.response_problems(self.exchange_with(response=response))) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"body": {"properties": {"amount": 10}}},
            {"body": {"properties": {}, "asociations": []}},
            {"body": None},
            {"query": {"idproperty": "email"}},
            {"method": "PUT"},
            {"path": "/crm/objects/2026-09/deals/batch/reed"},
        ],
        ids=["value", "member", "nothing", "query", "method", "path"],
    )
    def test_contract_check_reports_an_invalid_request(
        self, contract: HubSpotContract, changes: dict[str, Any]
    ) -> None:
        assert len(contract.request_problems(self.exchange_with(**changes))) == 1

    def test_contract_check_reports_an_undocumented_status(self, contract: HubSpotContract) -> None:
        assert contract.response_problems(self.exchange_with(status=202)) == [
            f"POST {DEALS} has no response 202"
        ]

    async def test_undocumented_member_of_emulator_response_fails_check(
        self, contract: HubSpotContract
    ) -> None:
        emulator = create_emulator()
        emulator.listeners.append(lambda heard: heard.reply.body.update(invented=True))
        with pytest.raises(AssertionError, match="invented"), checked_against_documents(emulator):
            async with httpx.AsyncClient(
                transport=EmulatorTransport(emulator), base_url="http://emulator"
            ) as client:
                await client.get("/crm/pipelines/2026-09/deals", headers={"Authorization": "Bearer token"})

    def test_each_deviation_from_hubspots_documents_has_a_reason(self) -> None:
        assert all(deviation.source.startswith("https://") and deviation.reason for deviation in DEVIATIONS)
