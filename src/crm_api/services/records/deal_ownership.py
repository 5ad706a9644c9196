"""Short-lived cache of verified (contact, deal) ownership."""

import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBER_SECONDS = 10.0
REMEMBER_AT_MOST = 10_000


class DealOwnershipCache:
    """Whose deals were seen to be whose, for some seconds; only what was found, never what was not."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add(self, contact_id: str, deal_id: str) -> None:
        """This contact is associated with this deal now."""
        self._until.pop((contact_id, deal_id), None)
        self._until[contact_id, deal_id] = self._clock() + REMEMBER_SECONDS
        while len(self._until) > REMEMBER_AT_MOST:
            self._until.popitem(last=False)

    def invalidate(self, deal_id: str) -> None:
        """The deal is gone, whosever it was."""
        for key in [key for key in self._until if key[1] == deal_id]:
            del self._until[key]

    def contains(self, contact_id: str, deal_id: str) -> bool:
        """Whether the contact was associated with the deal seconds ago."""
        return self._until.get((contact_id, deal_id), 0.0) > self._clock()
