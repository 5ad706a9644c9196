"""Short-lived cache of verified (contact, deal) ownership."""

import time
from collections import OrderedDict
from collections.abc import Callable

CACHE_TTL_SECONDS = 10.0
MAX_ENTRIES = 10_000


class DealOwnershipCache:
    """Cache of verified (contact, deal) ownership. Only positive results are cached."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expires_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add(self, contact_id: str, deal_id: str) -> None:
        """Cache that this contact is associated with this deal."""
        self._expires_at.pop((contact_id, deal_id), None)
        self._expires_at[contact_id, deal_id] = self._clock() + CACHE_TTL_SECONDS
        while len(self._expires_at) > MAX_ENTRIES:
            self._expires_at.popitem(last=False)

    def invalidate(self, deal_id: str) -> None:
        """Remove the deal for all contacts."""
        for key in [key for key in self._expires_at if key[1] == deal_id]:
            del self._expires_at[key]

    def contains(self, contact_id: str, deal_id: str) -> bool:
        """Return True if a cached check found the contact associated with the deal."""
        return self._expires_at.get((contact_id, deal_id), 0.0) > self._clock()
