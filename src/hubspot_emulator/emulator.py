"""The emulator: its application and its Python interface."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from hubspot_emulator.app import EmulatorApp
from hubspot_emulator.control import Control
from hubspot_emulator.operations import Operations
from hubspot_emulator.state.account import Account, Switches
from hubspot_emulator.state.faults import Faults
from hubspot_emulator.state.limits import EmulatorLimits
from hubspot_emulator.state.request_log import RequestLog
from hubspot_emulator.state.tokens import Tokens


class Emulator(Operations):
    """Emulator of one HubSpot account. Create it with `create_emulator`, and close it to release the state file."""

    def __init__(
        self,
        account: Account,
        faults: Faults,
        request_log: RequestLog,
        *,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(account, faults, request_log)
        self.app = EmulatorApp(account, faults, Control(self).respond, request_log, sleep=sleep)


def create_emulator(
    state: Path | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    access_tokens: Collection[str] | None = None,
    client_id: str = "demo-client-id",
    client_secret: str = "demo-client-secret",  # noqa: S107 - looks fake on purpose
    refresh_tokens: Collection[str] = ("demo-refresh-token",),
    token_lifetime_seconds: float = 1800,
    rotate_refresh_tokens: bool = False,
    limits: EmulatorLimits | None = None,
    search_lag_seconds: float = 0.0,
    latency_seconds: float = 0.0,
    latency_jitter_seconds: float = 0.0,
    portal_id: int = 48_213_907,
    association_page_size: int = 500,
    inline_association_page_size: int = 100,
    merge_keeps_primary_id: bool = False,
    duplicate_email_is_400: bool = False,
    required_properties: Mapping[str, Collection[str]] | None = None,
    conditional_properties: Mapping[str, Mapping[str, Collection[str]]] | None = None,
    validation_rules: Mapping[str, Mapping[str, Mapping[str, str]]] | None = None,
    scopes: Collection[str] | None = None,
    compression: bool = True,
    max_recorded_requests: int = 10_000,
) -> Emulator:
    """Create an emulator that stores its records in memory or, with `state`, in a file.

    With `access_tokens` None every bearer token is accepted, except one that was issued here and has expired. Raises
    StateFileInUseError if another emulator uses the file, and StateFileError if it cannot be used.
    """
    switches = Switches(
        search_lag_seconds,
        latency_seconds,
        latency_jitter_seconds,
        association_page_size,
        inline_association_page_size,
        merge_keeps_primary_id,
        duplicate_email_is_400,
        required_properties or {},
        conditional_properties or {},
        validation_rules or {},
        scopes,
        compression,
    )
    tokens = Tokens(
        clock=clock,
        access_tokens=access_tokens,
        client_id=client_id,
        client_secret=client_secret,
        refresh_tokens=refresh_tokens,
        lifetime_seconds=token_lifetime_seconds,
        rotate_refresh_tokens=rotate_refresh_tokens,
    )
    account = Account(
        state,
        clock=clock,
        monotonic=monotonic,
        switches=switches,
        limits=limits or EmulatorLimits(),
        tokens=tokens,
        portal_id=portal_id,
    )
    return Emulator(account, Faults(), RequestLog(max_recorded_requests), sleep=sleep)
