"""Creating POSTs that may be sent again: one key, one record, one answer.

After draft-ietf-httpapi-idempotency-key-header. The row is committed, with a lease, before the first HubSpot call;
a process that dies leaves it behind, and the next request with the same key goes on with the same request id.
"""

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot.errors import HubSpotError, HubSpotOutcomeUnknownError
from crm_api.models import IdempotencyKey, now
from crm_api.schemas.problems import FieldProblem
from crm_api.security.crypto import keyed_hash

KEPT = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"
# 409 counts only without Retry-After: with it, the answer will be another in a moment.
_FINAL_STATUSES = frozenset({400, 403, 404, 409})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at creating something."""

    request_id: str
    """What the HubSpot record is to bear; empty where an earlier try of this key was sent without it."""
    is_retry: bool = False
    """An earlier try was made, and nobody knows what became of it."""
    mark_untracked: Callable[[], Awaitable[None]] | None = None
    """Notes that this try is about to be sent without the id; no later one will look by it then."""
    store_response: Callable[[AsyncSession, BaseModel], Awaitable[None]] | None = None
    """Stores the answer in the caller's own transaction, where there is one to share."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key of one request: whose, for what, and with which body."""

    row_id: str
    owner: str
    fingerprint: str
    lease_seconds: float

    @classmethod
    def of(
        cls,
        secret: str,
        key: str,
        *,
        operation: str,
        owner: str,
        body: BaseModel,
        scope_secret: str = "",
        path_id: str = "",
        lease_seconds: float,
    ) -> "Idempotency":
        """The key as it is stored: HMACs, so that the table holds neither keys nor bodies.

        `scope_secret` is what only the owner knows, where anybody may claim to be the owner and must not be told
        whether the owner has used a key. `path_id` is what the path names; it counts as part of the body.
        """
        # The draft writes the key as a quoted string; most clients send it bare.
        bare = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
        sent = body.model_dump(mode="json", exclude_unset=True)
        secrets = {
            name: value.get_secret_value() for name, value in body if hasattr(value, "get_secret_value")
        }
        canonical = json.dumps(sent | secrets, sort_keys=True, default=str)
        return cls(
            row_id=keyed_hash(secret, "idempotency-key", operation, owner, scope_secret, bare),
            owner=_owner(secret, owner),
            fingerprint=keyed_hash(secret, "idempotency-body", path_id, canonical),
            lease_seconds=lease_seconds,
        )


def _owner(secret: str, name: str) -> str:
    return keyed_hash(secret, "idempotency-owner", name)


async def forget_keys(database: AsyncSession, secret: str, owners: Collection[str]) -> None:
    """Delete the keys of these owners, with the answers that they would have brought back."""
    hashes = [_owner(secret, name) for name in owners]
    await database.execute(delete(IdempotencyKey).where(IdempotencyKey.owner.in_(hashes)))


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What a request is answered: `body` as JSON, and whether it is an earlier answer again."""

    body: str
    status: int
    replayed: bool


async def run_once(
    session_factory: SessionFactory,
    idempotency: Idempotency | None,
    create: Callable[[Attempt], Awaitable[BaseModel]],
    *,
    status: int = 201,
) -> StoredResponse:
    """Create, or answer as the first time.

    Raises 409 `request_in_progress` while another request holds the key, 422 `idempotency_key_reused` where
    the body is another, and what `create` raises; a final error is stored and raised again.
    """
    if idempotency is None:
        answer = await create(Attempt(request_id=uuid4().hex))
        return StoredResponse(answer.model_dump_json(), status, replayed=False)
    lease_id = uuid4()
    row, is_retry = await _claim(session_factory, idempotency, lease_id)
    if row.status is not None:
        return _replay(row)

    async def store_response(database: AsyncSession, answer: BaseModel) -> None:
        await _store(database, idempotency.row_id, lease_id, status, answer.model_dump_json())

    async def mark_untracked() -> None:
        await _forget_request_id(session_factory, idempotency.row_id, lease_id)

    attempt = Attempt(
        row.request_id, is_retry=is_retry, mark_untracked=mark_untracked, store_response=store_response
    )
    try:
        answer = await create(attempt)
    except ApiError as error:
        await _store_or_release(session_factory, idempotency.row_id, lease_id, error, is_retry=is_retry)
        raise
    except HubSpotError as error:
        # A refusal; what may have been done, `create` says as an unknown outcome.
        unknown = isinstance(error, HubSpotOutcomeUnknownError)
        await _release(session_factory, idempotency.row_id, lease_id, is_retry=is_retry or unknown)
        raise
    except Exception:
        # Nobody foresaw it, so nobody knows whether it came before or after the record was made.
        await _end_lease(session_factory, idempotency.row_id, lease_id)
        raise
    # Cancellation and death fall through: the lease ends by itself, and the next try resumes.
    body = answer.model_dump_json()
    async with session_factory.begin() as database:
        await _store(database, idempotency.row_id, lease_id, status, body)
    return StoredResponse(body, status, replayed=False)


async def _claim(
    session_factory: SessionFactory, idempotency: Idempotency, lease_id: UUID
) -> tuple[IdempotencyKey, bool]:
    moment = now()
    lease_until = moment + timedelta(seconds=idempotency.lease_seconds)
    async with session_factory.begin() as database:
        await database.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < moment))
    row = IdempotencyKey(
        id=idempotency.row_id,
        owner=idempotency.owner,
        fingerprint=idempotency.fingerprint,
        request_id=uuid4().hex,
        lease_id=lease_id,
        lease_until=lease_until,
        expires_at=moment + KEPT,
    )
    try:
        async with session_factory.begin() as database:
            database.add(row)
        return row, False
    except IntegrityError:
        pass
    async with session_factory.begin() as database:
        taken = await database.execute(
            update(IdempotencyKey)
            .where(
                IdempotencyKey.id == idempotency.row_id,
                IdempotencyKey.fingerprint == idempotency.fingerprint,
                IdempotencyKey.status.is_(None),
                IdempotencyKey.lease_until <= moment,
            )
            .values(lease_id=lease_id, lease_until=lease_until)
        )
        stored = (
            await database.execute(select(IdempotencyKey).where(IdempotencyKey.id == idempotency.row_id))
        ).scalar_one_or_none()
    if stored is None:  # released between the two statements
        raise ApiError("request_in_progress", retry_after=1)
    if stored.fingerprint != idempotency.fingerprint:
        raise ApiError("idempotency_key_reused")
    if stored.status is None and not taken.rowcount:  # type: ignore[attr-defined]
        left = (stored.lease_until - moment).total_seconds()
        # As long again as it has been going on: most are done in a moment, and one whose process died never is.
        raise ApiError("request_in_progress", retry_after=min(left, idempotency.lease_seconds - left))
    return stored, True


def _replay(row: IdempotencyKey) -> StoredResponse:
    assert row.status is not None  # the caller looked
    assert row.answer is not None
    if row.status < 400:
        return StoredResponse(row.answer, row.status, replayed=True)
    error = json.loads(row.answer)
    raise ApiError(
        error["code"],
        error["detail"],
        details=[FieldProblem(**each) for each in error["details"]],
        headers={REPLAYED: "true"},
    )


async def _store(database: AsyncSession, row_id: str, lease_id: UUID, status: int, answer: str) -> None:
    statement = (
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row_id, IdempotencyKey.lease_id == lease_id)
        .values(status=status, answer=answer)
    )
    await database.execute(statement)


async def _store_or_release(
    session_factory: SessionFactory, row_id: str, lease_id: UUID, error: ApiError, *, is_retry: bool
) -> None:
    if error.error_type.code == "outcome_unknown":
        await _end_lease(session_factory, row_id, lease_id)
        return
    if error.error_type.status not in _FINAL_STATUSES or "Retry-After" in error.headers:
        await _release(session_factory, row_id, lease_id, is_retry=is_retry)
        return
    details = [detail.model_dump() for detail in error.details]
    answer = json.dumps({"code": error.error_type.code, "detail": error.detail, "details": details})
    async with session_factory.begin() as database:
        await _store(database, row_id, lease_id, error.error_type.status, answer)


async def _release(session_factory: SessionFactory, row_id: str, lease_id: UUID, *, is_retry: bool) -> None:
    """Give the key back. What an earlier try may have created is still not known, so that row stays."""
    if is_retry:
        await _end_lease(session_factory, row_id, lease_id)
        return
    async with session_factory.begin() as database:
        await database.execute(
            delete(IdempotencyKey).where(IdempotencyKey.id == row_id, IdempotencyKey.lease_id == lease_id)
        )


async def _forget_request_id(session_factory: SessionFactory, row_id: str, lease_id: UUID) -> None:
    """Raises 409 `request_in_progress` where another request has taken the key over meanwhile."""
    statement = (
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row_id, IdempotencyKey.lease_id == lease_id)
        .values(request_id="")
        .returning(IdempotencyKey.id)
    )
    async with session_factory.begin() as database:
        if (await database.execute(statement)).first() is None:
            raise ApiError("request_in_progress", retry_after=1)


async def _end_lease(session_factory: SessionFactory, row_id: str, lease_id: UUID) -> None:
    async with session_factory.begin() as database:
        await database.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.id == row_id, IdempotencyKey.lease_id == lease_id)
            .values(lease_until=now())
        )
