"""Pages of lists, searches and associations: cursors and links."""

from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests.hubspot_emulator.fidelity.records import CONTACTS, DEALS, create_contact, create_deal


@pytest.mark.parametrize("path", [CONTACTS, "/crm/v3/objects/contacts"])
async def test_next_link_of_list_has_the_query_and_the_same_server(
    hubspot: httpx.AsyncClient, path: str
) -> None:
    for _ in range(3):
        await create_contact(hubspot)
    query = {"limit": "1", "properties": "email,phone", "associations": "deals", "archived": "false"}
    page = (await hubspot.get(path, params=query)).json()
    seen = page["results"][0]["id"]
    link = page["paging"]["next"]["link"]
    for _ in range(2):
        assert urlsplit(link).netloc == hubspot.base_url.netloc.decode()
        assert parse_qsl(urlsplit(link).query) == [*query.items(), ("after", page["paging"]["next"]["after"])]
        page = (await hubspot.get(link)).json()
        [record] = page["results"]
        assert int(record["id"]) > int(seen)
        assert "phone" in record["properties"]
        seen, link = record["id"], page.get("paging", {}).get("next", {}).get("link", link)


async def test_next_link_of_associations_leads_to_the_next_page(hubspot: httpx.AsyncClient) -> None:
    contact = (await create_contact(hubspot))["id"]
    deals = [(await create_deal(hubspot))["id"] for _ in range(2)]
    for deal in deals:
        await hubspot.put(f"{CONTACTS}/{contact}/associations/default/deals/{deal}")
    page = (await hubspot.get(f"{CONTACTS}/{contact}/associations/deals", params={"limit": "1"})).json()
    link = page["paging"]["next"]["link"]
    assert urlsplit(link).netloc == hubspot.base_url.netloc.decode()
    page["results"] += (await hubspot.get(link)).json()["results"]
    assert {str(row["toObjectId"]) for row in page["results"]} == set(deals)


async def test_search_page_has_next_cursor_without_link(hubspot: httpx.AsyncClient) -> None:
    for _ in range(2):
        await create_deal(hubspot)
    page = (await hubspot.post(f"{DEALS}/search", json={"limit": 1})).json()
    assert page["paging"] == {"next": {"after": "1"}}
