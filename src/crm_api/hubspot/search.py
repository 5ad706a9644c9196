"""Search requests.

https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Operator = Literal[
    "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; timestamps are epoch milliseconds as text."""

    property: str
    operator: Operator
    value: str | None = field(default=None, repr=False)
    high_value: str | None = field(default=None, repr=False)
    values: Sequence[str] | None = field(default=None, repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Return HubSpot's JSON."""
        values = {"value": self.value, "highValue": self.high_value, "values": self.values}
        given = {name: value for name, value in values.items() if value is not None}
        return {"propertyName": self.property, "operator": self.operator, **given}


@dataclass(frozen=True, slots=True)
class Sort:
    """Sort order; HubSpot sorts by one property only."""

    property: str
    direction: Literal["ASCENDING", "DESCENDING"] = "ASCENDING"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Search request: any group must match, with all of its filters; at most 5 groups, 6 filters each, 18 in total.

    `limit` is at most 200. `after` is the number of results to skip, as text. HubSpot returns only the first 10,000.
    """

    filter_groups: Sequence[Sequence[Filter]] = ()
    query: str | None = field(default=None, repr=False)
    sort: Sort | None = None
    properties: Sequence[str] = field(default_factory=tuple)
    limit: int = 100
    after: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return HubSpot's JSON without absent fields."""
        groups = [[condition.to_wire() for condition in group] for group in self.filter_groups]
        sorts = [self.sort] if self.sort is not None else []
        wire = {
            "limit": self.limit,
            "filterGroups": [{"filters": group} for group in groups],
            "query": self.query,
            "sorts": [{"propertyName": sort.property, "direction": sort.direction} for sort in sorts],
            "properties": list(self.properties),
            "after": self.after,
        }
        return {name: value for name, value in wire.items() if value is not None and value != []}
