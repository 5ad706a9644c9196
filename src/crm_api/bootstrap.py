"""Builds clients and stores from the settings: HubSpot client, quota, authentication, Redis."""

import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from sqlalchemy.exc import SQLAlchemyError

from crm_api.database import SessionFactory, create_engine, create_session_factory
from crm_api.hubspot import (
    Auth,
    CacheStore,
    HubSpotClient,
    LocalQuota,
    MemoryStore,
    Observer,
    Quota,
    ReadCache,
    RefreshTokenAuth,
    StaticTokenAuth,
    token_url,
)
from crm_api.security.crypto import Cipher, keyed_hash
from crm_api.security.proxies import proxy_for
from crm_api.services.accounts.context import AccountRules
from crm_api.services.hubspot_account.binding import (
    encrypt_with_current_key,
    store_refresh_token,
    stored_refresh_token,
)
from crm_api.services.hubspot_account.checks import UNLIMITED
from crm_api.services.idempotency import LEASE_MARGIN_SECONDS
from crm_api.services.properties.categories import TICKET_CATEGORIES, duplicate_words
from crm_api.services.properties.fields import RecordFields
from crm_api.services.properties.pipelines import CustomerStages
from crm_api.settings import Settings, SettingsRefusedError

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)


def record_fields(settings: Settings) -> RecordFields:
    """Return the fields of records, including those that the operator adds.

    Raises `SettingsRefusedError` if two ticket categories would have the same value.
    """
    categories: dict[str, str] = {**TICKET_CATEGORIES}
    categories.update(settings.hubspot_ticket_categories.items())
    if problems := duplicate_words(categories):
        raise SettingsRefusedError(problems)
    return RecordFields(
        categories,
        {name: lists.model_dump() for name, lists in settings.hubspot_properties.items()},
    )


def customer_stages(settings: Settings) -> CustomerStages:
    """Return the pipelines and stages that customers may use."""
    return CustomerStages(dict(settings.customer_stages.items()))


def account_rules(settings: Settings) -> AccountRules:
    """Return the settings that account operations follow."""
    return AccountRules(
        registration_open=settings.registration == "open",
        email_domains=frozenset(settings.registration_email_domains),
        new_user_role=settings.new_user_role,
        customer_operations=settings.customer_operations,
        lease_seconds=settings.request_deadline_seconds + LEASE_MARGIN_SECONDS,
        access_token_seconds=settings.access_token_seconds,
        refresh_token_days=settings.refresh_token_days,
        session_days=settings.session_days,
        max_sessions=settings.max_sessions_per_user,
        jwt_key=settings.jwt_secret_key.get_secret_value(),
        secret_keys=settings.secret_keys,
    )


def create_redis(settings: Settings) -> "Redis | None":
    """Return the Redis client for HubSpot's quota and the read cache, or None; calls time out after 0.2 s."""
    if settings.redis_url is None:
        return None
    from redis.asyncio import Redis  # imported only if needed: it takes 9 MB and 0.1 s

    return Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=0.2, socket_connect_timeout=0.2
    )


def hubspot_quota(settings: Settings, redis: "Redis | None" = None) -> Quota:
    """Return the quota of this process, or with Redis the one shared by all processes with these credentials."""
    local = LocalQuota(
        burst_limit=settings.hubspot_burst_limit,
        search_limit=settings.hubspot_search_limit,
        daily_limit=settings.hubspot_daily_limit,
    )
    if redis is None:
        return local
    from crm_api.hubspot.quota.redis import RedisQuota

    token = settings.hubspot_access_token
    credentials = token.get_secret_value() if token else str(settings.hubspot_client_id)
    # SECRET_KEY is not part of the key, because processes with different keys share the quota during a rotation.
    key = keyed_hash("", "hubspot-quota", credentials)[:16]
    return RedisQuota(redis, account_key=key, local=local)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[SessionFactory, None]:
    """Provide a session factory and close its connections at the end."""
    engine = create_engine(settings.database_url)
    try:
        yield create_session_factory(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_hubspot(settings: Settings) -> AsyncGenerator[HubSpotClient, None]:
    """Provide a HubSpot client for commands; its quota starts unlimited and then shows what HubSpot reports.

    The database is used only if the HubSpot credentials are a refresh token.
    """
    async with AsyncExitStack() as stack:
        session_factory = None
        if settings.hubspot_access_token is None:
            session_factory = await stack.enter_async_context(open_database(settings))
        auth = await hubspot_auth(settings, session_factory)
        quota = LocalQuota(burst_limit=UNLIMITED, search_limit=UNLIMITED, daily_limit=UNLIMITED)
        hubspot = create_hubspot(settings, auth, quota=quota)
        stack.push_async_callback(hubspot.aclose)
        yield hubspot


def create_hubspot(
    settings: Settings,
    auth: Auth,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    quota: Quota | None = None,
    observer: Observer | None = None,
    turn: Callable[[], Awaitable[None]] | None = None,
) -> HubSpotClient:
    """Build the HubSpot client from the settings."""
    return HubSpotClient(
        base_url=settings.hubspot_base_url,
        api_version=settings.hubspot_api_version,
        auth=auth,
        transport=transport,
        verify=ssl.create_default_context(),
        proxy=proxy_for(settings.hubspot_base_url),
        max_connections=settings.hubspot_max_connections,
        quota=quota or hubspot_quota(settings),
        observer=observer,
        default_deadline_seconds=settings.request_deadline_seconds,
        turn=turn,
    )


def create_read_cache(
    settings: Settings,
    hubspot: HubSpotClient,
    redis: "Redis | None",
    *,
    charge_calls: Callable[[str, int], Awaitable[None]],
    observer: Observer,
) -> ReadCache | None:
    """Build the cache of customers' reads, in memory or with Redis in both; None if it is off."""
    if settings.read_cache_seconds == 0:
        return None
    return ReadCache(
        hubspot.sender,
        _cache_store(settings, redis),
        fresh_seconds=settings.read_cache_seconds,
        stale_seconds=_stale_seconds(settings),
        charge_calls=charge_calls,
        observer=observer,
    )


async def delete_shared_reads(settings: Settings, user_id: str) -> None:
    """Remove the user's cached reads from Redis; do nothing without Redis."""
    redis = create_redis(settings)
    if redis is None:
        return
    try:
        await _cache_store(settings, redis).delete_owner(user_id)
    finally:
        await redis.aclose()


def _cache_store(settings: Settings, redis: "Redis | None") -> CacheStore:
    memory = MemoryStore(max_bytes=settings.read_cache_max_bytes, max_age_seconds=_stale_seconds(settings))
    if redis is None:
        return memory
    from crm_api.hubspot.read_cache_redis import RedisStore

    secret = settings.secret_key.get_secret_value()
    cipher = Cipher(secret, "read-cache")
    return RedisStore(
        redis,
        # Processes with another key could not read the bodies.
        prefix=f"read-cache:{keyed_hash(secret, 'read-cache-prefix')[:16]}",
        encrypt=cipher.encrypt,
        decrypt=cipher.decrypt,
        memory=memory,
        fresh_seconds=settings.read_cache_seconds,
        max_age_seconds=_stale_seconds(settings),
    )


def _stale_seconds(settings: Settings) -> float:
    return max(settings.read_cache_seconds, settings.read_cache_stale_seconds)


async def hubspot_auth(settings: Settings, session_factory: SessionFactory | None) -> Auth:
    """Return the authentication of HubSpot calls: the access token, or the newest known refresh token.

    The session factory may be None if an access token is configured.
    """
    if settings.hubspot_access_token is not None:
        return StaticTokenAuth(settings.hubspot_access_token.get_secret_value())
    assert session_factory is not None
    assert settings.hubspot_client_id is not None  # checked by `Settings.require_startable`
    assert settings.hubspot_client_secret is not None
    assert settings.hubspot_refresh_token is not None
    keys = settings.secret_keys
    configured = settings.hubspot_refresh_token.get_secret_value()

    async def store(rotated: str) -> None:
        await store_refresh_token(session_factory, keys, configured, rotated)

    async def load() -> str | None:
        return await stored_refresh_token(session_factory, keys, configured)

    try:
        if keys.other is not None:
            await encrypt_with_current_key(session_factory, keys, configured)
        stored = await load()
    except (SQLAlchemyError, OSError, TimeoutError):
        logger.warning("database unavailable, using the configured HubSpot refresh token")
        stored = None
    return RefreshTokenAuth(
        client_id=settings.hubspot_client_id,
        client_secret=settings.hubspot_client_secret.get_secret_value(),
        refresh_token=stored or configured,
        token_url=token_url(settings.hubspot_base_url, settings.hubspot_api_version),
        store_refresh_token=store,
        load_refresh_token=load,
    )
