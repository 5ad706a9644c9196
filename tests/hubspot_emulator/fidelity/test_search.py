"""Search."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import CONTACTS, create_contact, is_emulator


class TestSearch:
    async def test_search_finds_new_contact_by_email(self, hubspot: httpx.AsyncClient) -> None:
        created = await create_contact(hubspot)
        filters = [{"propertyName": "email", "operator": "EQ", "value": created["properties"]["email"]}]
        found: list[dict[str, Any]] = []
        for _ in range(1 if is_emulator(hubspot) else 30):
            response = await hubspot.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": filters}]})
            assert response.status_code == 200
            found = response.json()["results"]
            if found:
                break
            await asyncio.sleep(2)
        assert [record["id"] for record in found] == [created["id"]]
        assert response.json()["total"] == 1
        assert "paging" not in response.json()

    @pytest.mark.parametrize("operator", ["EQ", "CONTAINS_TOKEN", "HAS_PROPERTY"])
    @pytest.mark.parametrize("value", ["", " "])
    async def test_filter_with_blank_value_returns_400(
        self, hubspot: httpx.AsyncClient, operator: str, value: str
    ) -> None:
        filters = [{"propertyName": "phone", "operator": operator, "value": value}]
        response = await hubspot.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": filters}]})
        assert response.status_code == 400
        assert re.fullmatch(
            r"Invalid input JSON on line 1, column \d+: value must be non-empty and non-blank, "
            r"if specified \{propertyName: 'phone'\}",
            response.json()["message"],
        )

    @pytest.mark.parametrize(
        "body",
        [
            {"limit": 201},
            {"after": "10000", "limit": 10},
            {"filterGroups": [{"filters": []}] * 6},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}]},
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 5}] * 4},
            {"query": "x" * 3001},
            {
                "filterGroups": [
                    {"filters": [{"propertyName": "no_such_one", "operator": "EQ", "value": "1"}]}
                ]
            },
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "LIKE", "value": "1"}]}]},
        ],
        ids=["limit", "ceiling", "groups", "filters", "total", "query", "property", "operator"],
    )
    async def test_invalid_search_returns_400(self, hubspot: httpx.AsyncClient, body: dict[str, Any]) -> None:
        response = await hubspot.post(f"{CONTACTS}/search", json=body)
        assert response.status_code == 400
