"""What was measured, against what was aimed at: the rows, and how they are printed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SIGNIFICANT: Final = 3
OURS: Final = "crm-api"
FLASK: Final = "(a) Flask"
FASTAPI: Final = "(b) FastAPI"
FLOOR: Final = "(c) floor"
CONTESTANTS: Final = (OURS, FLASK, FASTAPI, FLOOR)


@dataclass(frozen=True)
class Figure:
    """One value for each round."""

    values: tuple[float, ...]
    unit: str = ""

    @classmethod
    def of(cls, values: Sequence[float], unit: str = "") -> "Figure":
        """The figure of these rounds."""
        return cls(tuple(values), unit)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)

    def over(self, other: "Figure", unit: str = "x") -> "Figure":
        """The ratios, each of two values of the same round."""
        pairs = zip(self.values, other.values, strict=True)
        return Figure(tuple(mine / theirs for mine, theirs in pairs), unit)

    def scaled(self, factor: float, unit: str) -> "Figure":
        """The same in another unit."""
        return Figure(tuple(value * factor for value in self.values), unit)

    def __str__(self) -> str:
        text = _number(self.median)
        if len(self.values) > 1:
            text += f" ({_number(min(self.values))}-{_number(max(self.values))})"
        return f"{text} {self.unit}".strip()


@dataclass(frozen=True)
class Goal:
    """What the median is to be at least or at most."""

    bound: float
    at_most: bool
    unit: str = ""

    def reached_by(self, figure: Figure) -> bool:
        """Whether it is."""
        return figure.median <= self.bound if self.at_most else figure.median >= self.bound

    def __str__(self) -> str:
        words = "at most" if self.at_most else "at least"
        return f"{words} {_number(self.bound)} {self.unit}".strip()


def at_most(bound: float, unit: str = "") -> Goal:
    """No more than this."""
    return Goal(bound, at_most=True, unit=unit)


def at_least(bound: float, unit: str = "") -> Goal:
    """No less than this."""
    return Goal(bound, at_most=False, unit=unit)


@dataclass(frozen=True)
class Row:
    """One line: a cell for each contestant, and the figure that the goal is about."""

    measure: str
    cells: Mapping[str, str] = field(default_factory=dict)
    """By contestant."""
    figure: Figure | None = None
    goal: Goal | None = None
    why: str = ""
    """What holds it back, as far as this run measured it."""

    @property
    def reached(self) -> bool | None:
        """None where the row is only to be read."""
        return None if self.goal is None or self.figure is None else self.goal.reached_by(self.figure)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of its columns."""
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
    """All that one run found."""

    rows: list[Row] = field(default_factory=list)
    charts: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    """By chart and line: the points of the growth rows."""

    def missed(self) -> list[Row]:
        """The rows whose goal was not reached."""
        return [row for row in self.rows if row.reached is False]


HEADINGS: Final = ("Measure", *CONTESTANTS, "Figure", "Goal", "Reached")


def markdown(rows: Sequence[Row]) -> str:
    """A table."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(row.texts) + " |" for row in rows]
    return "\n".join(lines)


def plain(rows: Sequence[Row]) -> str:
    """The same for a terminal."""
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
        return f"{value:.{SIGNIFICANT}g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2}f}"
