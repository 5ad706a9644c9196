"""Failures of peers in the benchmarks: their cells show them, and the run goes on."""

import math
import shutil
from pathlib import Path

import pytest
from benchmarks.emulator import Emulator
from benchmarks.report import LOWER_BOUND, PEERS, SERVICE, Figure, Report, Row, at_least, markdown, plain
from benchmarks.rounds import cell, measure_in_rounds, medians, rates
from benchmarks.run import MissingServer, start_node
from benchmarks.sample import NO_RESPONSE, Sample
from benchmarks.servers import Servers


def sample_of(statuses: dict[int, int]) -> Sample:
    sample = Sample(elapsed=1.0)
    for status, count in statuses.items():
        for _ in range(count):
            sample.add(status, 0.01)
    return sample


async def succeed() -> Sample:
    return sample_of({201: 10})


async def fail_partly() -> Sample:
    return sample_of({201: 1507, 500: 1, NO_RESPONSE: 1})


async def fail_completely() -> Sample:
    return sample_of({500: 3})


async def break_off() -> Sample:
    raise ConnectionResetError("the | peer\nended")


async def test_failing_peers_end_no_run_and_are_in_the_table() -> None:
    flask, fastapi, lower_bound, node = PEERS
    measures = {
        SERVICE: succeed,
        flask: break_off,
        fastapi: fail_completely,
        lower_bound: fail_partly,
        node: succeed,
    }
    samples = await measure_in_rounds(3, measures)
    figures = {name: rates(values) for name, values in samples.items()}
    cells = {name: cell(str(figure), samples[name]) for name, figure in figures.items()}
    assert cells == {
        SERVICE: "10.0 (10.0-10.0) /s",
        flask: "ConnectionResetError: the / peer",
        fastapi: "3 of 3 failed (500)",
        lower_bound: "1,507 (1,507-1,507) /s; 2 of 1,509 failed (500, no response)",
        node: "10.0 (10.0-10.0) /s",
    }
    report = Report()
    for name in PEERS:
        ratio = figures[SERVICE].ratio_to(figures[name])
        report.rows.append(Row(f"compared with {name}", cells, ratio, at_least(0.5)))
    assert [row.reached for row in report.rows] == [None, None, False, True]
    for table in (markdown(report.rows), plain(report.rows)):
        assert "not measured" in table
        assert "2 of 1,509 failed" in table


@pytest.mark.parametrize("measure", [fail_partly, fail_completely, break_off])
async def test_failure_of_the_service_ends_the_run(measure: object) -> None:
    with pytest.raises((AssertionError, ConnectionResetError)):
        await measure_in_rounds(1, {LOWER_BOUND: succeed, SERVICE: measure})  # type: ignore[dict-item]


async def test_round_without_responses_of_the_service_ends_no_run() -> None:
    async def too_slow() -> Sample:
        return sample_of({})

    samples = await measure_in_rounds(2, {SERVICE: too_slow})
    assert str(medians(samples[SERVICE])) == "not measured"


def test_figure_ignores_rounds_without_result() -> None:
    figure = Figure.of([math.nan, 2.0, 4.0], "ms")
    assert (figure.median, str(figure)) == (3.0, "3.00 (2.00-4.00) ms")
    assert str(Figure.of([math.nan], "ms")) == "not measured"
    assert not Figure.of([1.0]).ratio_to(Figure.of([0.0])).measured


async def test_run_without_node_has_no_peer_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    async with start_node(Servers(tmp_path), Emulator("http://127.0.0.1:9"), []) as node:
        assert node is None


async def test_peer_d_that_does_not_start_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/bin/false")
    monkeypatch.setattr("benchmarks.servers.ROOT", tmp_path)  # npm finds no folder with packages
    async with start_node(Servers(tmp_path), Emulator("http://127.0.0.1:9"), []) as node:
        assert node is not None
        assert isinstance(node.server, MissingServer)
