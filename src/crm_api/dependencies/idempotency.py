"""The Idempotency-Key header, and the dependency that runs a creating operation once for each key."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from crm_api.database import SessionFactory
from crm_api.dependencies.app_state import get_session_factory, get_settings
from crm_api.schemas.common import Envelope
from crm_api.services.idempotency import (
    LEASE_MARGIN_SECONDS,
    REPLAYED,
    Attempt,
    Idempotency,
    StoredResponse,
    run_once,
)
from crm_api.settings import Settings

IdempotencyKeyHeader = Annotated[
    # Constraints beside `| None` would be missing from the OpenAPI document, so they stand with `str`.
    Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | SkipJsonSchema[None],
    Header(
        alias="Idempotency-Key",
        description=(
            "Unique key for this request, such as a UUID. A request with the same key and body within 24 hours "
            "creates nothing and returns the first response; with another body the response is a 422."
        ),
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


class IdempotentCreate:
    """Executor that runs a creating operation once for the Idempotency-Key of a request."""

    def __init__(
        self, session_factory: SessionFactory, settings: Settings, idempotency_key: str | None
    ) -> None:
        self._session_factory = session_factory
        self._settings = settings
        self._key = idempotency_key

    async def execute(
        self,
        create: Callable[[Attempt], Awaitable[Envelope[Any]]],
        *,
        operation: str,
        owner: UUID | str,
        body: BaseModel,
        scope_secret: str = "",
        path_id: str = "",
        status: int = 201,
        location_prefix: str = "",
        require_access: Callable[[str], Awaitable[object]] | None = None,
    ) -> Response:
        """Create the record, or replay the stored response. With `location_prefix` a 201 gets a Location header.

        Before a replay, `require_access` gets the record's ID and raises if the caller may not see the record now.
        """
        idempotency = None
        if self._key:
            idempotency = Idempotency.of(
                self._settings.secret_keys,
                self._key,
                operation=operation,
                owner=owner,
                body=body,
                scope_secret=scope_secret,
                path_id=path_id,
                lease_seconds=self._settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
            )
        stored = await run_once(self._session_factory, idempotency, create, status=status)
        headers = {REPLAYED: "true"} if stored.created is None else {}
        if require_access is not None and stored.created is None:
            await require_access(_record_id(stored))
        if location_prefix and stored.status == 201:
            headers["Location"] = f"{self._settings.root_path}{location_prefix}/{_record_id(stored)}"
        return Response(stored.body, stored.status, headers, "application/json")


def _record_id(stored: StoredResponse[Envelope[Any]]) -> str:
    if stored.created is None:
        return str(json.loads(stored.body)["data"]["id"])
    return str(stored.created.data.id)


async def get_idempotent_create(
    request: Request, idempotency_key: IdempotencyKeyHeader = None
) -> IdempotentCreate:
    """Return the executor for this request's Idempotency-Key."""
    return IdempotentCreate(await get_session_factory(request), await get_settings(request), idempotency_key)


IdempotentCreateDep = Annotated[IdempotentCreate, Depends(get_idempotent_create)]
