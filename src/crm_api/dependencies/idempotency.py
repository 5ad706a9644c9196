"""What the creating operations share: the Idempotency-Key and the answer that it may bring back."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from crm_api.dependencies.app_state import SessionFactoryDep, SettingsDep, get_session_factory, get_settings
from crm_api.services.idempotency import REPLAYED, Attempt, Idempotency, run_once

# The longest that an attempt may go on after its request's deadline: it is cancelled there, and this is for clocks.
LEASE_MARGIN_SECONDS = 5.0

IdempotencyKeyHeader = Annotated[
    # Constraints stand with the string: beside `| None` the document would lose the pattern.
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
    """Runs one creating operation, once for each key."""

    def __init__(
        self, session_factory: SessionFactoryDep, settings: SettingsDep, idempotency_key: str | None
    ) -> None:
        self._session_factory = session_factory
        self._settings = settings
        self._key = idempotency_key

    async def execute(
        self,
        create: Callable[[Attempt], Awaitable[BaseModel]],
        *,
        operation: str,
        owner: str,
        body: BaseModel,
        scope_secret: str = "",
        path_id: str = "",
        status: int = 201,
        location_prefix: str = "",
    ) -> Response:
        """The success, or what was answered the first time; `read_at` is the path below which the record is read."""
        idempotency = self._key and Idempotency.of(
            self._settings.secret_key.get_secret_value(),
            self._key,
            operation=operation,
            owner=owner,
            body=body,
            scope_secret=scope_secret,
            path_id=path_id,
            lease_seconds=self._settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
        )
        answered = await run_once(self._session_factory, idempotency or None, create, status=status)
        headers = {REPLAYED: "true"} if answered.replayed else {}
        if location_prefix and answered.status == 201:
            (record,) = json.loads(answered.body)["data"].values()
            headers["Location"] = f"{location_prefix}/{record['id']}"
        return Response(answered.body, answered.status, headers, "application/json")


async def get_idempotent_create(
    request: Request, idempotency_key: IdempotencyKeyHeader = None
) -> IdempotentCreate:
    """What runs a creating operation once for the key of this request."""
    return IdempotentCreate(await get_session_factory(request), await get_settings(request), idempotency_key)


IdempotentCreateDep = Annotated[IdempotentCreate, Depends(get_idempotent_create)]
