"""Idempotency keys for creating requests: one key, one record, one stored response.

After draft-ietf-httpapi-idempotency-key-header. The key's row is committed with a lease before the first HubSpot call.
If the process crashes, the next request with the key takes over the expired lease and uses the same request ID.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Update, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_api.database import SessionFactory
from crm_api.errors import ApiError
from crm_api.hubspot.errors import HubSpotError, HubSpotOutcomeUnknownError
from crm_api.models import IdempotencyKey, User, now
from crm_api.schemas.problems import FieldProblem
from crm_api.security.crypto import KeyRing, keyed_hash

Response = TypeVar("Response", bound=BaseModel)
RETENTION = timedelta(hours=24)
# Requests are cancelled at their deadline; the margin covers clocks that differ.
LEASE_MARGIN_SECONDS = 5.0
REPLAYED = "Idempotency-Replayed"
# A 409 with Retry-After is not final: a retry may succeed.
_FINAL_STATUSES = frozenset({400, 403, 404, 409})


@dataclass(frozen=True, slots=True)
class Lease:
    """This request's hold on the rows of an idempotency key."""

    session_factory: SessionFactory
    row_ids: Collection[str]
    lease_id: UUID
    success_status: int
    user_id: UUID | None = None
    """User who owns the key; None for a registration."""

    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions that select the rows while this request holds it."""
        return IdempotencyKey.id.in_(self.row_ids), IdempotencyKey.lease_id == self.lease_id

    async def end(self) -> None:
        """Let the next request with the key take over the row and its request ID."""
        async with self.session_factory.begin() as database:
            await database.execute(self.update(lease_until=now()))

    async def release(self) -> None:
        """Delete the row, so that the next request with the key starts from the beginning."""
        async with self.session_factory.begin() as database:
            await database.execute(delete(IdempotencyKey).where(*self.conditions()))

    async def has_user(self, database: AsyncSession) -> bool:
        """Return False if the key's user was deleted. Otherwise no request can delete them in this transaction."""
        if self.user_id is None:
            return True
        query = select(User.id).where(User.id == self.user_id).with_for_update(read=True, key_share=True)
        return (await database.execute(query)).first() is not None

    def update(self, **values: object) -> Update:
        """Return the statement that updates the row while this request holds it."""
        return update(IdempotencyKey).where(*self.conditions()).values(**values)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to create a record."""

    request_id: str
    """Value of the record's idempotency property; empty if an earlier attempt was sent without it."""
    is_retry: bool = False
    """Whether an earlier attempt with the key has an unknown outcome."""
    lease: Lease | None = None
    """None if the request has no idempotency key."""

    async def mark_untracked(self) -> None:
        """Record that the create is sent without the request ID, so that no retry looks it up.

        Raises 409 `request_in_progress` if another request has taken over the key.
        """
        if self.lease is None:
            return
        statement = self.lease.update(request_id="").returning(IdempotencyKey.id)
        async with self.lease.session_factory.begin() as database:
            if (await database.execute(statement)).first() is None:
                raise ApiError("request_in_progress", retry_after=1)

    async def store_response(self, database: AsyncSession, response: BaseModel) -> None:
        """Store the response in the transaction that completes the operation."""
        if self.lease is not None:
            body = response.model_dump_json()
            await database.execute(self.lease.update(status=self.lease.success_status, answer=body))


@dataclass(frozen=True, slots=True)
class HashedKey:
    """HMACs of an idempotency key, its owner and the body, with one secret key."""

    row_id: str
    owner: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The idempotency key of a request, as it is stored."""

    rows: Sequence["HashedKey"]
    """In the order of the row IDs, so that two requests cannot deadlock."""
    lease_seconds: float
    user_id: UUID | None

    @classmethod
    def of(
        cls,
        keys: KeyRing,
        key: str,
        *,
        operation: str,
        owner: UUID | str,
        body: BaseModel,
        scope_secret: str = "",
        path_id: str = "",
        lease_seconds: float,
    ) -> "Idempotency":
        """Return the key with HMACs of key and body, so that the table contains neither keys nor request bodies.

        The stored response repeats created values. Without a login, a caller could probe whether the owner has used a
        key: `scope_secret`, which only the owner knows, prevents that. `path_id` is the ID in the path and counts as
        part of the body. The owner is the ID of a user, or the e-mail address of a registration.
        """
        # The draft writes the key as a quoted string; most clients send it bare.
        bare = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
        sent = body.model_dump(mode="json", exclude_unset=True)
        secrets = {
            name: value.get_secret_value() for name, value in body if hasattr(value, "get_secret_value")
        }
        canonical = json.dumps(sent | secrets, sort_keys=True, default=str)
        rows = [
            HashedKey(
                row_id=keyed_hash(secret, "idempotency-key", operation, str(owner), scope_secret, bare),
                owner=_hash_owner(secret, str(owner)),
                fingerprint=keyed_hash(secret, "idempotency-body", path_id, canonical),
            )
            for secret in keys
        ]
        return cls(
            rows=sorted(rows, key=lambda row: row.row_id),
            lease_seconds=lease_seconds,
            user_id=owner if isinstance(owner, UUID) else None,
        )


def _hash_owner(secret: str, name: str) -> str:
    return keyed_hash(secret, "idempotency-owner", name)


async def delete_keys(database: AsyncSession, keys: KeyRing, owners: Collection[str]) -> None:
    """Delete the owners' idempotency keys and stored responses."""
    hashes = [_hash_owner(secret, name) for secret in keys for name in owners]
    await database.execute(delete(IdempotencyKey).where(IdempotencyKey.owner.in_(hashes)))


@dataclass(frozen=True, slots=True)
class StoredResponse(Generic[Response]):
    """The response to a creating request, which is stored if the request has an idempotency key."""

    body: str = field(repr=False)
    status: int
    created: Response | None
    """The body as a model if this request created it; None for a replay."""


async def run_once(
    session_factory: SessionFactory,
    idempotency: Idempotency | None,
    create: Callable[[Attempt], Awaitable[Response]],
    *,
    status: int = 201,
) -> StoredResponse[Response]:
    """Run `create` once for the key and store its response, or replay the stored response.

    Raises 409 `request_in_progress` while another request holds the key, 422 `idempotency_key_reused` if the body
    differs, and the errors of `create`. A final error is stored and raised again on replay.
    """
    if idempotency is None:
        response = await create(Attempt(request_id=uuid4().hex))
        return StoredResponse(response.model_dump_json(), status, response)
    row_ids = [row.row_id for row in idempotency.rows]
    lease = Lease(session_factory, row_ids, uuid4(), status, idempotency.user_id)
    stored, is_retry = await _acquire(lease, idempotency)
    if stored.status is not None:
        return _replay(stored.status, stored.answer or "")
    attempt = Attempt(stored.request_id, is_retry, lease)
    try:
        response = await create(attempt)
    except ApiError as error:
        if error.error_type.code == "outcome_unknown":
            await lease.end()
        elif _is_final(error):
            await _store_error(lease, error)
        else:
            await _give_up(lease, outcome_known=not is_retry)
        raise
    except HubSpotError as error:
        # `create` raises HubSpotOutcomeUnknownError if HubSpot may have created the record; others are refusals.
        unknown = isinstance(error, HubSpotOutcomeUnknownError)
        await _give_up(lease, outcome_known=not (is_retry or unknown))
        raise
    except Exception:
        # Unexpected error: the record may or may not exist, so end the lease but keep the row.
        await lease.end()
        raise
    # After a cancellation or a crash, the lease expires and the next request with the key takes over.
    async with session_factory.begin() as database:
        await attempt.store_response(database, response)
    return StoredResponse(response.model_dump_json(), status, response)


def _is_final(error: ApiError) -> bool:
    # The operator or a later lookup can link the contact, so `contact_missing` is never stored.
    if error.error_type.code == "contact_missing" or "Retry-After" in error.headers:
        return False
    return error.error_type.status in _FINAL_STATUSES


async def _acquire(lease: Lease, idempotency: Idempotency) -> tuple[IdempotencyKey, bool]:
    """Insert the key's rows, or take them over if their leases have expired. Return one, and whether it existed before.

    During a rotation of SECRET_KEY, there is a row for each of two keys: processes that know only one of them, or use
    the other one as the current key, find a row with the same ID. Such a process may have changed only one of the rows.
    Raises `request_in_progress` while another request holds a lease, `idempotency_key_reused` for another body.
    """
    started_at = now()
    lease_until = started_at + timedelta(seconds=idempotency.lease_seconds)
    async with lease.session_factory.begin() as database:
        await database.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < started_at))
    request_id = uuid4().hex
    rows = [
        IdempotencyKey(
            id=hashed.row_id,
            owner=hashed.owner,
            fingerprint=hashed.fingerprint,
            request_id=request_id,
            lease_id=lease.lease_id,
            lease_until=lease_until,
            expires_at=started_at + RETENTION,
        )
        for hashed in idempotency.rows
    ]
    try:
        async with lease.session_factory.begin() as database:
            if not await lease.has_user(database):  # another request has deleted the user account
                raise ApiError("invalid_token")
            database.add_all(rows)
        return rows[0], False
    except IntegrityError:
        pass
    async with lease.session_factory.begin() as database:
        query = select(IdempotencyKey).where(IdempotencyKey.id.in_(lease.row_ids))
        locked = await database.execute(query.order_by(IdempotencyKey.id).with_for_update())
        stored = locked.scalars().all()
        _require_same_body(stored, idempotency)
        for row in stored:
            if row.status is not None:
                return row, True
        _require_expired_leases(stored, started_at, idempotency.lease_seconds)
        # An empty request ID marks a create that was sent without it, so it holds for all rows.
        request_id = min((row.request_id for row in stored), key=bool)
        for row in stored:
            row.request_id, row.lease_id, row.lease_until = request_id, lease.lease_id, lease_until
    return stored[0], True


def _require_same_body(stored: Sequence[IdempotencyKey], idempotency: Idempotency) -> None:
    fingerprints = {hashed.row_id: hashed.fingerprint for hashed in idempotency.rows}
    if not stored:  # another request has released the key since the insert
        raise ApiError("request_in_progress", retry_after=1)
    if any(row.fingerprint != fingerprints[row.id] for row in stored):
        raise ApiError("idempotency_key_reused")


def _require_expired_leases(
    stored: Sequence[IdempotencyKey], started_at: datetime, lease_seconds: float
) -> None:
    remaining = max((row.lease_until - started_at).total_seconds() for row in stored)
    if remaining > 0:
        # Most requests finish soon and a crashed one never does, so wait as long as it has run so far.
        raise ApiError("request_in_progress", retry_after=min(remaining, lease_seconds - remaining))


def _replay(status: int, body: str) -> StoredResponse[Any]:
    if status < 400:
        return StoredResponse(body, status, None)
    error = json.loads(body)
    raise ApiError(
        error["code"],
        error["detail"],
        details=[FieldProblem(**problem) for problem in error["details"]],
        headers={REPLAYED: "true"},
    )


async def _store_error(lease: Lease, error: ApiError) -> None:
    details = [problem.model_dump() for problem in error.details]
    body = json.dumps({"code": error.error_type.code, "detail": error.detail, "details": details})
    async with lease.session_factory.begin() as database:
        await database.execute(lease.update(status=error.error_type.status, answer=body))


async def _give_up(lease: Lease, *, outcome_known: bool) -> None:
    """Release the key if no record can exist. Otherwise keep the row, so that a retry uses the same request ID."""
    await (lease.release() if outcome_known else lease.end())
