"""Fair queue: by priority, then round robin over callers, and in order of arrival within one caller."""

import asyncio
from collections import Counter, OrderedDict, deque
from enum import IntEnum


class RecentCalls:
    """Number of calls that each caller started within the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: deque[tuple[float, str | None]] = deque()
        self._counts: Counter[str | None] = Counter()

    def add(self, caller: str | None, now: float) -> int:
        """Count a call of this caller and return the number of its recent calls."""
        while self._calls and self._calls[0][0] <= now - self._seconds:
            _, earlier = self._calls.popleft()
            self._counts[earlier] -= 1
            if not self._counts[earlier]:
                del self._counts[earlier]
        self._calls.append((now, caller))
        self._counts[caller] += 1
        return self._counts[caller]


class Priority(IntEnum):
    """Order of waiting calls: the one with the lowest number is next."""

    STARTED_WRITE = 0
    """Write of an incoming request that has already used quota."""
    NORMAL = 1
    BACKGROUND = 2


class _Round:
    """Waiting calls of one priority."""

    def __init__(self) -> None:
        self._last_caller: str | None = None
        self._waiting: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, caller: str | None, turn: asyncio.Future[None]) -> None:
        self._waiting.setdefault(caller, deque()).append(turn)

    def remove(self, caller: str | None, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(caller)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del self._waiting[caller]

    def grant(self) -> bool:
        """Grant the turn to the next caller. Returns False if no call waits."""
        while self._waiting:
            caller = self._next_caller()
            turns = self._waiting[caller]
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not turn.done():
                self._last_caller = caller
                turn.set_result(None)
                return True
        return False

    def _next_caller(self) -> str | None:
        """Return the first caller of the round, or the second if the first has just had its turn."""
        callers = iter(self._waiting)
        first = next(callers)
        return next(callers, first) if first == self._last_caller else first


class FairQueue:
    """Grants one turn at a time. Many waiting calls of one caller do not delay the other callers."""

    def __init__(self) -> None:
        self._is_taken = False
        self._rounds = {priority: _Round() for priority in Priority}

    def __len__(self) -> int:
        return sum(map(len, self._rounds.values()))

    @property
    def calls_ahead(self) -> int:
        """Number of waiting calls, plus one if a call has the turn now."""
        return len(self) + self._is_taken

    def take_free_turn(self) -> bool:
        """Take the turn if it is free. If True is returned, `release` must follow."""
        if self._is_taken:
            return False
        self._is_taken = True
        return True

    async def wait_for_turn(self, caller: str | None, priority: Priority = Priority.NORMAL) -> None:
        """Wait for the turn. The caller must call `release` afterwards."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._rounds[priority]
        if priority is Priority.BACKGROUND:
            caller = None  # background calls of all callers keep their order of arrival
        waiting.add(caller, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the turn was granted just before the cancellation
            else:
                waiting.remove(caller, turn)
            raise

    def release(self) -> None:
        """End the turn of the current call; the next waiting call gets it."""
        self._is_taken = any(waiting.grant() for waiting in self._rounds.values())
