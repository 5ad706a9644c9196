"""Results of one measure: statuses and times of its requests."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Self

NO_RESPONSE: Final = 599
"""Status that stands for a broken connection."""


@dataclass
class Sample:
    """Statuses of the responses, and the times of the successful ones."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    elapsed: float = 0.0
    error: str = ""
    """Error that ended the measure of a peer."""

    @property
    def success_count(self) -> int:
        return len(self.seconds)

    @property
    def rate(self) -> float:
        """Return successes per second."""
        return self.success_count / self.elapsed if self.elapsed else 0.0

    @property
    def median(self) -> float:
        """Return the median time of the successes, or NaN if there are none."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def failures(self) -> str:
        """Return a text about the failed requests, empty if there are none."""
        count = self.statuses.total() - self.success_count
        if self.error or not count:
            return self.error
        statuses = sorted(status for status in self.statuses if status >= 400)
        names = ("no response" if status == NO_RESPONSE else str(status) for status in statuses)
        return f"{count:,} of {self.statuses.total():,} failed ({', '.join(names)})"

    def quantile(self, share: float) -> float:
        """Return the time within which this share of the successful responses arrived."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        if status < 400:
            self.seconds.append(seconds)

    def require_success(self, name: str) -> Self:
        """Return the sample. Raises `AssertionError` if a response was no success."""
        if not self.seconds or self.success_count != self.statuses.total():
            raise AssertionError(f"{name}: statuses were {dict(self.statuses)}")
        return self
