"""Calls the running service through the SDK of openapi-python-client: python round_trip.py BASE EMULATOR."""

import datetime
import sys
import time
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from crm_api_client import AuthenticatedClient, Client
from crm_api_client.api.account import create_token, get_me, log_in, log_out, refresh_token, register
from crm_api_client.api.deals import create_deal, get_deal, list_deals, search_deals, update_deal
from crm_api_client.api.overview import search_everything
from crm_api_client.api.schema import list_pipelines
from crm_api_client.api.tickets import create_ticket
from crm_api_client.models import (
    Credentials,
    Deal,
    DealCreate,
    DealDetailResponse,
    DealPageResponse,
    DealResponse,
    DealSearchResponse,
    DealUpdate,
    FoundRecordsResponse,
    PipelinesResponse,
    Problem,
    RecordSearch,
    Registration,
    RegistrationResponse,
    SessionsToEnd,
    TicketCreate,
    TicketResponse,
    TokenGrant,
    TokenGrantGrantType,
    TokenRefresh,
    Tokens,
    TokensResponse,
)
from crm_api_client.types import UNSET, Response, Unset

BASE, EMULATOR = sys.argv[1:] if len(sys.argv) == 3 else ("http://localhost:4012", "http://localhost:8100")
EMAIL = f"python-{time.time_ns()}@example.com"
PASSWORD = "a lighthouse in the fog"
Model = TypeVar("Model")


def expect_success(response: Response[Any], model: type[Model]) -> Model:
    """Return the success body as the documented type."""
    assert isinstance(response.parsed, model), (response.status_code, response.content)
    return response.parsed


def expect_problem(response: Response[Any], status: int, code: str) -> Problem:
    """Return the error body as the documented type."""
    assert isinstance(response.parsed, Problem), (response.status_code, response.content)
    assert response.status_code == HTTPStatus(status), response.status_code
    assert response.parsed.code == code, response.parsed
    return response.parsed


def list_all_deals(client: AuthenticatedClient) -> list[Deal]:
    """Return all deals, read in pages of two."""
    deals: list[Deal] = []
    cursor: str | Unset = UNSET
    while True:
        page = expect_success(
            list_deals.sync_detailed(client=client, limit=2, cursor=cursor), DealPageResponse
        ).data
        deals += page.results
        if page.next_cursor is None:
            return deals
        cursor = page.next_cursor


def main() -> None:
    """Run the round trip; an assertion fails if the service differs from the document."""
    anonymous = Client(base_url=BASE)
    registration = Registration(
        email=EMAIL, firstname="Søren", lastname="García", password=PASSWORD, phone="+44 20 7946 0018"
    )
    expect_success(register.sync_detailed(client=anonymous, body=registration), RegistrationResponse)
    expect_problem(register.sync_detailed(client=anonymous, body=registration), 409, "user_exists")
    wrong_login = Credentials(email=EMAIL, password="wrong")
    expect_problem(log_in.sync_detailed(client=anonymous, body=wrong_login), 401, "invalid_credentials")
    grant = TokenGrant(grant_type=TokenGrantGrantType.PASSWORD, username=EMAIL, password=PASSWORD)
    expect_success(create_token.sync_detailed(client=anonymous, body=grant), Tokens)
    wrong_grant = TokenGrant(grant_type=TokenGrantGrantType.PASSWORD, username=EMAIL, password="wrong")
    expect_problem(create_token.sync_detailed(client=anonymous, body=wrong_grant), 400, "invalid_grant")
    login = expect_success(
        log_in.sync_detailed(client=anonymous, body=Credentials(email=EMAIL, password=PASSWORD)),
        TokensResponse,
    )
    refreshed = expect_success(
        refresh_token.sync_detailed(client=anonymous, body=TokenRefresh(login.data.refresh_token)),
        TokensResponse,
    )
    client = AuthenticatedClient(base_url=BASE, token=refreshed.data.access_token)
    forged = AuthenticatedClient(base_url=BASE, token="forged")
    expect_problem(get_me.sync_detailed(client=forged), 401, "invalid_token")

    pipelines = expect_success(list_pipelines.sync_detailed(client=client), PipelinesResponse).data
    stage, ticket_stage = pipelines.deals[0].stages[0].id, pipelines.tickets[0].stages[0].id
    body = DealCreate(
        dealname="Annual support",
        dealstage=stage,
        amount="12.5",
        closedate=datetime.datetime(2026, 12, 31, 17, tzinfo=datetime.UTC),
    )
    key = f"key-{time.time_ns()}"
    deal = expect_success(
        create_deal.sync_detailed(client=client, body=body, idempotency_key=key), DealResponse
    ).data
    again = expect_success(
        create_deal.sync_detailed(client=client, body=body, idempotency_key=key), DealResponse
    ).data
    assert again.id == deal.id
    assert deal.closedate == body.closedate
    other = DealCreate(dealname="Other", dealstage=stage)
    expect_problem(
        create_deal.sync_detailed(client=client, body=other, idempotency_key=key),
        422,
        "idempotency_key_reused",
    )
    unknown_stage = DealCreate(dealname="Other", dealstage="nowhere")
    problem = expect_problem(
        create_deal.sync_detailed(client=client, body=unknown_stage), 400, "validation_error"
    )
    assert [detail.field for detail in problem.details] == ["dealstage"]
    for_other_contact = DealCreate(dealname="Other", dealstage=stage, contact_id="1")
    expect_problem(create_deal.sync_detailed(client=client, body=for_other_contact), 403, "forbidden")
    too_large = DealCreate(dealname="Other", dealstage=stage, description="x" * 2**20)
    expect_problem(create_deal.sync_detailed(client=client, body=too_large), 413, "request_too_large")
    expect_problem(get_deal.sync_detailed("99999999", client=client), 404, "not_found")
    fault = {"method": "GET", "path": "/crm/objects/*/deals/*", "status": 403}
    httpx.post(f"{EMULATOR}/_emulator/faults", json=fault).raise_for_status()
    expect_problem(get_deal.sync_detailed(deal.id, client=client), 502, "hubspot_credentials_refused")
    expect_problem(
        update_deal.sync_detailed(deal.id, client=client, body=DealUpdate(amount="1"), if_match='"0"'),
        412,
        "precondition_failed",
    )
    cleared = expect_success(
        update_deal.sync_detailed(deal.id, client=client, body=DealUpdate(amount=None)), DealResponse
    )
    assert cleared.data.amount is None

    ticket = TicketCreate(
        subject="Spare part",
        description="Needed soon",
        hs_pipeline_stage=ticket_stage,
        category="technical_issue",
    )
    expect_success(create_ticket.sync_detailed(deal.id, client=client, body=ticket), TicketResponse)
    for number in range(4):
        another = DealCreate(dealname=f"Deal {number}", dealstage=stage)
        expect_success(create_deal.sync_detailed(client=client, body=another), DealResponse)
    assert len({deal.id for deal in list_all_deals(client)}) == 5
    expect_problem(list_deals.sync_detailed(client=client, cursor="made-up"), 400, "invalid_cursor")
    detail = expect_success(get_deal.sync_detailed(deal.id, client=client), DealDetailResponse)
    assert [ticket.subject for ticket in detail.data.tickets] == ["Spare part"]
    matches = expect_success(
        search_deals.sync_detailed(client=client, body=RecordSearch(query="annual")), DealSearchResponse
    )
    assert matches.data.total == 1
    everything = expect_success(
        search_everything.sync_detailed(client=client, q="spare"), FoundRecordsResponse
    )
    assert len(everything.data.tickets) == 1

    guess = Credentials(email=f"nobody-{EMAIL}", password="wrong")
    responses = [log_in.sync_detailed(client=anonymous, body=guess) for _ in range(6)]
    limited = expect_problem(responses[-1], 429, "rate_limit_exceeded")
    assert limited.error.startswith("ratelimit exceeded 5 per 1 minute")
    assert int(responses[-1].headers["Retry-After"]) > 0
    assert log_out.sync_detailed(client=client, body=SessionsToEnd(everywhere=True)).status_code == 204
    expect_problem(get_me.sync_detailed(client=client), 401, "invalid_token")
    print("openapi-python-client: round trip done")


if __name__ == "__main__":
    main()
