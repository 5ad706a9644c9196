"""Errors of PostgreSQL: which are outages, and which connections are replaced."""

import logging

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from crm_api.database.sqlstates import REACTIONS

OTHER_STATES = {
    "08006": "reconnect",  # connection_failure
    "25001": "error",  # active_sql_transaction
    "25P02": "error",  # in_failed_sql_transaction
    "40001": "retry",  # serialization_failure
    "40P01": "retry",  # deadlock_detected
    "53100": "retry",  # disk_full
    "53200": "retry",  # out_of_memory
    "53300": "retry",  # too_many_connections
    "57014": "retry",  # query_canceled
    "23505": "error",  # unique_violation
    "42601": "error",  # syntax_error
    "XX000": "error",  # internal_error
}
STATES = {state: reaction for state, reaction in REACTIONS.items() if len(state) == 5} | OTHER_STATES


@pytest.mark.parametrize("database_backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("state", "reaction"), STATES.items())
async def test_sqlstate_decides_status_and_connection(
    client: httpx.AsyncClient,
    app: FastAPI,
    state: str,
    reaction: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pids: list[int] = []

    @app.get("/statement")
    async def statement(*, fails: bool) -> None:
        async with app.state.session_factory() as database:
            pids.append((await database.execute(text("SELECT pg_backend_pid()"))).scalar_one())
            if fails:
                await database.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"))

    with caplog.at_level(logging.WARNING):
        response = await client.get("/statement?fails=true")
    assert response.status_code == (500 if reaction == "error" else 503)
    assert any(record.levelno >= logging.ERROR for record in caplog.records) is (reaction == "error")
    assert ("retry-after" in response.headers) is (reaction != "error")
    failed_pid = pids.pop()
    # The pool hands out its connections, at most ten, in turn.
    for _ in range(10):
        assert (await client.get("/statement?fails=false")).status_code == 200
    assert (failed_pid not in pids) is (reaction == "reconnect")
