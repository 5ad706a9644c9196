"""The floor of requests that HubSpot has no part in: bare Starlette and the database read of our authentication.

No token is checked: the caller names the session, as a token would after it was verified.
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

from crm_api.database import SessionFactory, create_engine, create_read_session_factory
from crm_api.models import Session, User, now

CALLER: Final = (
    select(User)
    .join(Session, Session.user_id == User.id)
    .where(
        Session.id == bindparam("session_id"),
        Session.user_id == bindparam("user_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("moment"),
        User.status == "active",
    )
)


async def read_user(request: Request) -> User:
    """The user of an open session: one indexed read, as our service makes it."""
    asked = {
        "user_id": UUID(request.headers["x-user"]),
        "session_id": UUID(request.headers["x-session"]),
        "moment": now(),
    }
    read_session_factory: SessionFactory = request.app.state.read_session_factory
    async with read_session_factory() as database:
        return (await database.execute(CALLER, asked)).scalar_one()


async def me(request: Request) -> Response:
    """The user's profile."""
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
    """What our service answers, from memory."""
    await read_user(request)
    return JSONResponse(request.app.state.pipelines)


async def health(_request: Request) -> Response:
    """Alive."""
    return JSONResponse({"status": "ok"})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
    """The engine that our service has."""
    engine = create_engine(os.environ["DATABASE_URL"])
    app.state.read_session_factory = create_read_session_factory(engine)
    yield
    await engine.dispose()


def create_app() -> Starlette:
    """The application, for `uvicorn --factory`."""
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/healthz", health),
            Route("/api/me", me),
            Route("/api/pipelines", list_pipelines),
        ],
    )
    app.state.pipelines = json.loads(Path(os.environ["FLOOR_PIPELINES"]).read_text(encoding="utf-8"))
    return app
