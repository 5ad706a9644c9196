"""Line charts as SVG, without a library."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmarks.report import FASTAPI, FLASK, LOWER_BOUND, SERVICE

Points = Sequence[tuple[float, float]]
COLOURS: Final = {SERVICE: "#0a7d4f", FLASK: "#b3402a", FASTAPI: "#c98a1b", LOWER_BOUND: "#5b6b7a"}
OTHER_COLOURS: Final = ("#0a7d4f", "#b3402a")
"""Colours of lines that are not contestants, in their order."""
COLUMNS: Final = 2
WIDTH: Final = 440
HEIGHT: Final = 300
LEFT: Final = 64
RIGHT: Final = 96
TOP: Final = 44
BOTTOM: Final = 40


def svg(charts: Mapping[str, Mapping[str, Points]]) -> str:
    """Return the charts in rows of two; all axes are logarithmic."""
    parts = [
        _chart(title, lines, WIDTH * (position % COLUMNS), HEIGHT * (position // COLUMNS))
        for position, (title, lines) in enumerate(charts.items())
    ]
    size = f'width="{WIDTH * COLUMNS}" height="{HEIGHT * math.ceil(len(charts) / COLUMNS)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _chart(title: str, lines: Mapping[str, Points], left: int, top: int) -> str:
    x_axis = _Axis([x for points in lines.values() for x, _ in points], LEFT, WIDTH - RIGHT)
    y_axis = _Axis([y for points in lines.values() for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [f'<g transform="translate({left} {top})">', _text(LEFT, 22, title, weight="bold")]
    for tick in y_axis.ticks:
        y = y_axis.position(tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{tick:,.0f}", anchor="end"))
    label_y = HEIGHT - BOTTOM + 18
    parts += [_text(x_axis.position(tick), label_y, f"{tick:,.0f}", anchor="middle") for tick in x_axis.ticks]
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS.get(name, OTHER_COLOURS[index % len(OTHER_COLOURS)])
        positions = [(x_axis.position(x), y_axis.position(y)) for x, y in points]
        if not positions:
            continue
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in positions)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in positions]
        parts.append(_text(positions[-1][0] + 8, positions[-1][1] + 4, name, colour=colour))
    return "\n".join([*parts, "</g>"])


class _Axis:
    """Logarithmic axis that ends at powers of ten."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        logarithms = [math.log10(value) for value in values]
        self._low = math.floor(min(logarithms))
        self._high = max(math.ceil(max(logarithms)), self._low + 1)
        self._start, self._end = start, end

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def position(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#222"
) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{text}</text>'
