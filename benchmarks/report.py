"""Table of measurements and goals."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SIGNIFICANT_DIGITS: Final = 3
SERVICE: Final = "crm-api"
FLASK: Final = "(a) Flask"
FASTAPI: Final = "(b) FastAPI"
LOWER_BOUND: Final = "(c) lower bound"
NODE: Final = "(d) Fastify"
PEERS: Final = (FLASK, FASTAPI, LOWER_BOUND, NODE)
CONTESTANTS: Final = (SERVICE, *PEERS)


@dataclass(frozen=True)
class Figure:
    """One value for each round; NaN for a round without a result."""

    values: tuple[float, ...]
    unit: str = ""

    @classmethod
    def of(cls, values: Sequence[float], unit: str = "") -> "Figure":
        return cls(tuple(values), unit)

    @property
    def median(self) -> float:
        return statistics.median(self.measured) if self.measured else math.nan

    @property
    def measured(self) -> list[float]:
        """Return the values of the rounds with a result."""
        return [value for value in self.values if not math.isnan(value)]

    def ratio_to(self, other: "Figure", unit: str = "x") -> "Figure":
        """Return the ratios of the values of the same round."""
        pairs = zip(self.values, other.values, strict=True)
        return Figure(tuple(value / base if base else math.nan for value, base in pairs), unit)

    def scaled(self, factor: float, unit: str) -> "Figure":
        """Return the figure in another unit."""
        return Figure(tuple(value * factor for value in self.values), unit)

    def __str__(self) -> str:
        if not self.measured:
            return "not measured"
        text = _number(self.median)
        if len(self.measured) > 1:
            text += f" ({_number(min(self.measured))}-{_number(max(self.measured))})"
        return f"{text} {self.unit}".strip()


@dataclass(frozen=True)
class Goal:
    """Bound for the median of a figure."""

    bound: float
    is_upper: bool
    unit: str = ""

    def is_reached_by(self, figure: Figure) -> bool:
        return figure.median <= self.bound if self.is_upper else figure.median >= self.bound

    def __str__(self) -> str:
        relation = "at most" if self.is_upper else "at least"
        return f"{relation} {_number(self.bound)} {self.unit}".strip()


def at_most(bound: float, unit: str = "") -> Goal:
    return Goal(bound, is_upper=True, unit=unit)


def at_least(bound: float, unit: str = "") -> Goal:
    return Goal(bound, is_upper=False, unit=unit)


@dataclass(frozen=True)
class Row:
    """Row with a cell per contestant, and the figure that is compared with the goal."""

    measure: str
    cells: Mapping[str, str] = field(default_factory=dict)
    """Text by contestant."""
    figure: Figure | None = None
    goal: Goal | None = None
    explanation: str = ""
    """Reason for the value, as far as this run measured it."""

    @property
    def reached(self) -> bool | None:
        """Return True or False if the row has a goal and a figure, else None."""
        if self.goal is None or self.figure is None or not self.figure.measured:
            return None
        return self.goal.is_reached_by(self.figure)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the texts of the columns."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.reached]
        return (
            self.measure,
            *(self.cells.get(name, "") for name in CONTESTANTS),
            "" if self.figure is None else str(self.figure),
            "" if self.goal is None else str(self.goal),
            verdict,
        )


@dataclass
class Report:
    """Results of one run."""

    rows: list[Row] = field(default_factory=list)
    charts: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    """Points by chart title and contestant."""

    def missed(self) -> list[Row]:
        """Return the rows whose goal was not reached."""
        return [row for row in self.rows if row.reached is False]


HEADINGS: Final = ("Measure", *CONTESTANTS, "Figure", "Goal", "Reached")


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(row.texts) + " |" for row in rows]
    return "\n".join(lines)


def plain(rows: Sequence[Row]) -> str:
    """Return the rows as a table for a terminal."""
    table = [HEADINGS, *(row.texts for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines).replace("**", "")


def _number(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value:.{SIGNIFICANT_DIGITS}g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2}f}"
