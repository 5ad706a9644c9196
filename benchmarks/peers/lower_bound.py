"""Lower bound (c): plain Starlette and httpx with the HubSpot calls of crm-api.

It has no users, validation, quota, retries and error handling, so it shows the cost of the two libraries.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CONNECTIONS: Final = int(os.environ["HUBSPOT_MAX_CONNECTIONS"])
BASE_URL: Final = os.environ["HUBSPOT_BASE_URL"].rstrip("/")
HEADERS: Final = {"Authorization": f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}"}
TLS_CONTEXT: Final = httpx.create_ssl_context()
OBJECTS: Final = "/crm/objects/2026-09"
DEALS_TO_TICKETS: Final = "/crm/associations/2026-09/deals/tickets/batch/read"
CONTACT: Final = "email,firstname,lastname,phone,lifecyclestage"
DEAL: Final = ["dealname", "dealstage", "pipeline", "amount", "closedate", "description"]
TICKET: Final = ["subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority"]
BATCH: Final = 100


class Upstream:
    """HubSpot client with one transport of httpx per connection, as crm-api has it."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._free = [httpx.AsyncHTTPTransport(verify=TLS_CONTEXT) for _ in range(CONNECTIONS)]

    async def call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, json: Any = None
    ) -> httpx.Response:
        """Send one call. Raises an exception for an error status."""
        request = httpx.Request(
            method,
            BASE_URL + path,
            params=params,
            json=json,
            headers=HEADERS,
            extensions={"timeout": httpx.Timeout(30).as_dict()},
        )
        async with self._slots:
            transport = self._free.pop()
            try:
                response = await transport.handle_async_request(request)
                await response.aread()
            finally:
                self._free.append(transport)
        response.request = request
        return response.raise_for_status()

    async def aclose(self) -> None:
        for transport in self._free:
            await transport.aclose()

    async def read(self, object_type: str, ids: list[str], properties: list[str]) -> list[dict[str, Any]]:
        """Read records by ID in concurrent calls of 100."""
        bodies = [
            {
                "inputs": [{"id": record_id} for record_id in ids[start : start + BATCH]],
                "properties": properties,
            }
            for start in range(0, len(ids), BATCH)
        ]
        path = f"{OBJECTS}/{object_type}/batch/read"
        responses = await asyncio.gather(*(self.call("POST", path, json=body) for body in bodies))
        return [record for response in responses for record in response.json()["results"]]


def upstream(request: Request) -> Upstream:
    hubspot: Upstream = request.app.state.upstream
    return hubspot


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def list_crm_objects(request: Request) -> Response:
    """Read contacts with deal IDs, then deals and ticket IDs, then tickets."""
    hubspot = upstream(request)
    params = {
        "limit": request.query_params.get("limit", "10"),
        "properties": CONTACT,
        "associations": "deals",
    }
    contacts = (await hubspot.call("GET", f"{OBJECTS}/contacts", params=params)).json()["results"]
    deal_ids = _unique(
        link["id"] for contact in contacts for link in contact["associations"]["deals"]["results"]
    )
    deals, links = await asyncio.gather(
        hubspot.read("deals", deal_ids, DEAL),
        hubspot.call("POST", DEALS_TO_TICKETS, json={"inputs": [{"id": deal_id} for deal_id in deal_ids]}),
    )
    ticket_ids = _unique(
        str(ticket["toObjectId"]) for deal in links.json()["results"] for ticket in deal["to"]
    )
    tickets = await hubspot.read("tickets", ticket_ids, TICKET)
    return JSONResponse({"contacts": contacts, "deals": deals, "tickets": tickets})


async def create_deal(request: Request) -> Response:
    """Read the contact that a header names, and create a deal in one call."""
    contact_id = request.headers["x-contact"]
    params = {"properties": "hs_object_id,hs_merged_object_ids"}
    await upstream(request).call("GET", f"{OBJECTS}/contacts/{contact_id}", params=params)
    return await _create(request, "deals", [(contact_id, 3)])


async def create_ticket(request: Request) -> Response:
    """Read the deal with its contacts, and create a ticket in one call; a header names the contact."""
    deal_id = request.path_params["deal_id"]
    params = {"properties": "hs_object_id,pipeline", "associations": "contacts"}
    await upstream(request).call("GET", f"{OBJECTS}/deals/{deal_id}", params=params)
    return await _create(request, "tickets", [(deal_id, 28), (request.headers["x-contact"], 16)])


async def _create(request: Request, object_type: str, links: list[tuple[str, int]]) -> Response:
    body = {
        "properties": await request.json(),
        "associations": [
            {
                "to": {"id": record_id},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}],
            }
            for record_id, type_id in links
        ],
    }
    response = await upstream(request).call("POST", f"{OBJECTS}/{object_type}", json=body)
    return Response(response.content, 201, media_type="application/json")


def _unique(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    app.state.upstream = Upstream()
    yield
    await app.state.upstream.aclose()


def create_app() -> Starlette:
    """Build the application, for `uvicorn --factory`."""
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/healthz", health),
            Route("/api/new-crm-objects", list_crm_objects),
            Route("/api/deals", create_deal, methods=["POST"]),
            Route("/api/tickets/{deal_id}", create_ticket, methods=["POST"]),
        ],
    )
