"""Worker processes: restarts with backoff, and the end of workers whose supervisor was killed."""

import os
import re
import signal
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import uvicorn
from tests.support.processes import Process, service_process
from uvicorn.supervisors import multiprocess

from crm_api.cli import workers as workers_module
from crm_api.cli.workers import MAX_RESTART_WAIT_SECONDS, STABLE_SECONDS, Workers


def worker_pids(service: Process) -> list[int]:
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.output)]


def is_running(pid: int) -> bool:
    """Return False also for a process that has ended and was not waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path, database_url: str) -> None:
    with service_process(
        tmp_path,
        database_url=database_url,
        hubspot_url="http://127.0.0.1:9",
        workers=2,
        # The workers do not wait for the notice, because a new service needs the port.
        SHUTDOWN_NOTICE_SECONDS="300",
    ) as service:
        deadline = time.monotonic() + 60
        while len(pids := worker_pids(service)) < 2:
            assert time.monotonic() < deadline, service.output
            time.sleep(0.1)
        try:
            service.send_signal(signal.SIGKILL)
            service.wait(30)
            while any(map(is_running, pids)):
                assert time.monotonic() < deadline + 60, service.output
                time.sleep(0.1)
        finally:
            for pid in filter(is_running, pids):
                os.kill(pid, signal.SIGKILL)
        assert service.output.count("the supervisor of this worker has ended") == 2
        # The requests of the workers could finish.
        assert service.output.count("Application shutdown complete") == 2
        with pytest.raises(httpx.ConnectError):
            httpx.get(service.url + "/healthz")


class DeadProcess:
    """Worker that dies at once, or lives if `alive` is set."""

    started = 0

    def __init__(self, _config: uvicorn.Config, _sockets: list[socket.socket]) -> None:
        self.alive = False
        self.exitcode: int | None = -signal.SIGBUS
        self.pid = 1

    def start(self) -> None:
        type(self).started += 1

    def is_alive(self, timeout: float) -> bool:
        return self.alive

    def kill(self) -> None: ...

    def terminate(self) -> None: ...

    def join(self) -> None: ...


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> tuple[Workers, list[float], list[str]]:
    """Return a supervisor of one worker, its clock, and the list of reported deaths."""
    # The constructor would replace the signal handlers of the tests.
    monkeypatch.setattr(multiprocess, "SIGNALS", {})
    monkeypatch.setattr(workers_module, "Worker", DeadProcess)
    monkeypatch.setattr(DeadProcess, "started", 0)
    now, deaths = [0.0], list[str]()
    config = uvicorn.Config("app", workers=1)
    workers = Workers(config, [], on_death=lambda: deaths.append("died"), clock=lambda: now[0])
    workers.processes = [DeadProcess(config, [])]  # type: ignore[list-item]
    return workers, now, deaths


def test_dying_worker_is_restarted_with_growing_waits(
    supervisor: tuple[Workers, list[float], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    workers, now, deaths = supervisor
    starts = []
    for second in range(200):
        now[0] = float(second)
        before = DeadProcess.started
        workers.keep_subprocess_alive()
        starts += [second] * (DeadProcess.started - before)
    waits = [later - earlier for earlier, later in pairwise(starts)]
    # A death is noticed at the next check, one second after the start.
    assert waits[:6] == [2, 3, 5, 9, 17, MAX_RESTART_WAIT_SECONDS + 1]
    assert max(waits) == MAX_RESTART_WAIT_SECONDS + 1
    assert len(deaths) in (len(starts), len(starts) + 1)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == len(deaths)
    assert errors[0].getMessage() == "worker died: pid=1 cause=SIGBUS restart_in_seconds=0"


def test_worker_that_was_stable_is_restarted_at_once(
    supervisor: tuple[Workers, list[float], list[str]],
) -> None:
    workers, now, deaths = supervisor
    for _ in range(4):
        workers.processes[0].alive = True  # type: ignore[attr-defined]
        workers.keep_subprocess_alive()
        now[0] += STABLE_SECONDS + 1
        workers.processes[0].alive = False  # type: ignore[attr-defined]
        workers.keep_subprocess_alive()
    assert DeadProcess.started == len(deaths) == 4


def test_worker_replaced_while_it_was_dead_is_not_restarted(
    supervisor: tuple[Workers, list[float], list[str]],
) -> None:
    workers, now, deaths = supervisor
    workers.keep_subprocess_alive()
    workers.keep_subprocess_alive()
    assert (DeadProcess.started, len(deaths)) == (1, 2)
    # SIGHUP replaces every worker.
    replacement = DeadProcess(workers.config, [])
    replacement.alive = True
    workers.processes[0] = replacement  # type: ignore[call-overload]
    now[0] += 10
    workers.keep_subprocess_alive()
    assert workers.processes[0] is replacement  # type: ignore[comparison-overlap]
    assert DeadProcess.started == 1


class SlowWorker(DeadProcess):
    """Worker that needs half a minute to start."""

    def wait_until_ready(self, timeout: float, _should_exit: threading.Event) -> bool:
        return timeout >= 30


def test_sighup_waits_for_workers_that_start_slowly(
    supervisor: tuple[Workers, list[float], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, _, _ = supervisor
    monkeypatch.setattr(workers_module, "Worker", SlowWorker)
    workers.handle_hup()
    assert isinstance(workers.processes[0], SlowWorker)
    # Running workers are checked as before.
