"""Lower bound of requests without HubSpot calls: plain Starlette with the database read of crm-api's authentication.

Headers name user and session instead of a token.
"""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crm_api.database import SessionFactory, autocommit_engine, create_engine, create_session_factory
from crm_api.models import Session, User, now

CALLER: Final = (
    select(User)
    .join(Session, Session.user_id == User.id)
    .where(
        Session.id == bindparam("session_id"),
        Session.user_id == bindparam("user_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("now"),
        User.status == "active",
    )
)


async def read_user(request: Request) -> User:
    """Return the user of an active session in one indexed read, as crm-api does."""
    parameters = {
        "user_id": UUID(request.headers["x-user"]),
        "session_id": UUID(request.headers["x-session"]),
        "now": now(),
    }
    autocommit_session_factory: SessionFactory = request.app.state.autocommit_session_factory
    async with autocommit_session_factory() as database:
        return (await database.execute(CALLER, parameters)).scalar_one()


async def me(request: Request) -> Response:
    user = await read_user(request)
    profile = {
        "id": str(user.id),
        "email": user.email,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "phone": user.phone,
        "role": user.role,
        "email_verified": user.email_verified,
        "contact_id": user.contact_id,
    }
    return JSONResponse({"message": "Profile retrieved successfully", "data": profile})


async def list_pipelines(request: Request) -> Response:
    """Return crm-api's response, from memory."""
    await read_user(request)
    return JSONResponse(request.app.state.pipelines)


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    engine = create_engine(os.environ["DATABASE_URL"])
    app.state.autocommit_session_factory = create_session_factory(autocommit_engine(engine))
    yield
    await engine.dispose()


def create_app() -> Starlette:
    """Build the application, for `uvicorn --factory`."""
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/healthz", health),
            Route("/api/me", me),
            Route("/api/pipelines", list_pipelines),
        ],
    )
    app.state.pipelines = json.loads(Path(os.environ["PIPELINES_FILE"]).read_text(encoding="utf-8"))
    return app
