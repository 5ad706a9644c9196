"""The service under a path prefix of a proxy (ROOT_PATH)."""

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from tests.support.builders import PASSWORD, deal_body, registration_body, ticket_body
from tests.support.callers import assert_problem
from tests.support.prefix_proxy import prefix_proxy
from tests.support.processes import emulator_process, service_process


@pytest.mark.parametrize("database_backend", ["sqlite"])
@pytest.mark.parametrize("removes_prefix", [True, False])
@pytest.mark.parametrize("root_path", ["/crm", "/a/b-1/"])
async def test_links_of_service_work_behind_prefix_proxy(
    database_url: str, tmp_path: Path, root_path: str, removes_prefix: bool
) -> None:
    prefix = root_path.rstrip("/")
    with (
        emulator_process(tmp_path) as emulator,
        service_process(
            tmp_path, database_url=database_url, hubspot_url=emulator.url, ROOT_PATH=root_path
        ) as service,
    ):
        port = httpx.URL(service.url).port
        assert port is not None
        async with (
            prefix_proxy(port, prefix, removes_prefix=removes_prefix) as url,
            httpx.AsyncClient(timeout=60) as client,
        ):
            outside = str(httpx.URL(url).copy_with(path="/docs"))
            assert (await client.get(outside)).status_code == 404
            await check_docs(client, url)
            await check_document_and_location(client, url, prefix)
        async with httpx.AsyncClient(timeout=60) as client:
            # Probes reach the process without the proxy.
            assert (await client.get(f"{service.url}/healthz")).status_code == 200


async def check_docs(client: httpx.AsyncClient, url: str) -> None:
    """Follow the redirect of the root to the docs, and request everything that the page loads."""
    for root in (url, f"{url}/"):
        page = await client.get(root, follow_redirects=True)
        assert (page.status_code, str(page.url)) == (200, f"{url}/docs")
    links = re.findall(r'(?:href|src|data-openapi)="([^"]+)"', page.text)
    assert len(links) == 6
    for link in links:
        assert (await client.get(urljoin(str(page.url), link))).status_code == 200, link


async def check_document_and_location(client: httpx.AsyncClient, url: str, prefix: str) -> None:
    """Log in at the document's token URL, call its server, and follow the Location of new records."""
    document = (await client.get(f"{url}/openapi.json")).json()
    server, _demo = document["servers"]
    base = urljoin(f"{url}/openapi.json", server["url"])
    assert base == url
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]
    assert flow["tokenUrl"] == flow["refreshUrl"] == f"{prefix}/api/token"
    body = registration_body()
    assert (await client.post(f"{base}/api/register", json=body)).status_code == 201
    grant = {"grant_type": "password", "username": body["email"], "password": PASSWORD}
    token = (await client.post(urljoin(url, flow["tokenUrl"]), data=grant)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "key-of-the-deal"}
    for _ in range(2):
        created = await client.post(f"{base}/api/deals", json=deal_body(), headers=headers)
        assert created.status_code == 201
        location = created.headers["location"]
        pattern = document["components"]["headers"]["Location"]["schema"]["pattern"]
        assert re.search(pattern, location)
        assert (await client.get(urljoin(url, location), headers=headers)).status_code == 200
    deal_id = location.rpartition("/")[2]
    del headers["Idempotency-Key"]
    ticket = await client.post(f"{base}/api/tickets/{deal_id}", json=ticket_body(), headers=headers)
    ticket_url = urljoin(url, ticket.headers["location"])
    assert (await client.get(ticket_url, headers=headers)).status_code == 200
    # Rules that depend on the path apply below the prefix too.
    large = await client.post(f"{base}/api/login", json={"email": "x" * 20_000})
    assert_problem(large, 413, "request_too_large")
