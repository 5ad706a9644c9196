"""Results of a run in docs/performance.md, between two markers, and the chart in docs/images."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.chart import svg
from benchmarks.report import Report, markdown

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "performance.md"
CHART: Final = DOCS / "images" / "performance.svg"
CHART_TEXT: Final = "Response times by users and deals; pages per second and age of their data by customers"
BEGIN: Final = "<!-- begin of measurements, written by `make bench BENCH_ARGS=--write` -->"
END: Final = "<!-- end of measurements -->"


def write(report: Report, *, run_name: str) -> None:
    """Replace the results of the last run."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, remaining = page.partition(BEGIN)
    after = remaining.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{_results(report, run_name)}\n\n{END}{after}", encoding="utf-8")
    CHART.write_text(svg(report.charts), encoding="utf-8")


def _results(report: Report, run_name: str) -> str:
    date = datetime.now(UTC).date()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    goals = [row for row in report.rows if row.reached is not None]
    reached = sum(1 for row in goals if row.reached)
    parts = [
        f"{date}, {run_name} run, {machine}: {reached} of {len(goals)} goals reached.",
        markdown(report.rows),
        f"![{CHART_TEXT}](images/performance.svg)",
    ]
    missed = [
        f"- {row.measure}: {row.figure}; the goal is {row.goal}. {row.explanation}".rstrip()
        for row in report.missed()
    ]
    if missed:
        parts += ["### Goals not reached", "\n".join(missed)]
    return "\n\n".join(parts)
