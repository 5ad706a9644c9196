"""Worker processes: their supervisor, which restarts them with backoff, and their end when it is killed."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from crm_api.cli.http_protocol import DrainingServer

# A worker that ends within this time after its start counts as failing again.
STABLE_SECONDS = 60.0
MAX_RESTART_WAIT_SECONDS = 30.0
# On a busy machine a worker starts in more than the 5 seconds that uvicorn waits for one that replaces another.
MAX_START_SECONDS = 60
logger = logging.getLogger(__name__)


class Worker(Process):
    """Worker process with the service's own server."""

    @property
    def server(self) -> DrainingServer:
        """Return the server, which exists only in the worker process."""
        if self._server is None:
            self._server = DrainingServer(config=self.config)
        return cast("DrainingServer", self._server)


@dataclass(slots=True)
class _Slot:
    """Position of one worker in the list of processes; a restart puts another process there."""

    process: Process
    started_at: float
    quick_deaths: int = 0
    restart_at: float | None = None
    """Time at which the dead process is replaced; None while it runs."""

    def record_death(self, now: float) -> float:
        """Return the seconds until the restart: 0, then 1, 2, 4 and so on if the worker keeps dying."""
        self.quick_deaths = self.quick_deaths + 1 if now - self.started_at < STABLE_SECONDS else 1
        # The exponent is limited because the count is not.
        wait = min(MAX_RESTART_WAIT_SECONDS, 2.0 ** min(self.quick_deaths - 2, 10))
        wait = wait if self.quick_deaths > 1 else 0.0
        self.restart_at = now + wait
        return wait


class Workers(Multiprocess):
    """Supervisor of uvicorn that restarts workers with backoff and reports their deaths.

    It closes the listening socket when it stops its workers: while the supervisor holds the socket, the system accepts
    connections that no worker will serve.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket],
        *,
        on_death: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, sockets)
        self._on_death = on_death
        self._clock = clock
        self._slots: dict[int, _Slot] = {}

    def init_processes(self) -> None:
        """Start all workers."""
        for _ in range(self.processes_num):
            self.processes.append(self._start_worker())

    def keep_subprocess_alive(self) -> None:
        """End unresponsive workers and replace dead ones, unless a worker cannot start at all."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            slot = self._slots.get(index)
            if slot is None or slot.process is not process:  # the first check, or replaced by SIGHUP
                slot = self._slots[index] = _Slot(process, self._clock())
            if slot.restart_at is None:
                if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                    continue
                self._end(slot)
            if slot.restart_at is not None and self._clock() >= slot.restart_at:
                self._restart(index, slot)

    def restart_all(self) -> None:
        """Replace each worker after its successor has started, for up to `MAX_START_SECONDS`."""
        for index, old in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            new = self._start_worker()
            if not new.wait_until_ready(MAX_START_SECONDS, self.should_exit):
                new.kill()
                new.join()
                if not self.should_exit.is_set():
                    logger.error(
                        "worker not ready in time, restart ended: pid=%s kept_pid=%s", new.pid, old.pid
                    )
                return
            old.terminate()
            old.join()
            self.processes[index] = new

    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def _end(self, slot: _Slot) -> None:
        process = slot.process
        cause = _describe(process.exitcode)
        process.kill()
        process.join()
        if process.exitcode == STARTUP_FAILURE:
            logger.error("worker failed to start, stopping: pid=%s", process.pid)
            self.should_exit.set()
        elif not self.should_exit.is_set():
            self._on_death()
            wait = slot.record_death(self._clock())
            logger.error("worker died: pid=%s cause=%s restart_in_seconds=%.0f", process.pid, cause, wait)

    def _restart(self, index: int, slot: _Slot) -> None:
        process = self._start_worker()
        self.processes[index] = process
        self._slots[index] = _Slot(process, self._clock(), slot.quick_deaths)

    def _start_worker(self) -> Worker:
        worker = Worker(self.config, self.sockets)
        worker.start()
        return worker


def _describe(exit_code: int | None) -> str:
    if exit_code is None:
        return "unresponsive"
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"


def end_with_supervisor(*, grace_seconds: float) -> None:
    """Stop this worker when its supervisor ends without stopping it; without a supervisor, do nothing.

    Running requests may finish. After `grace_seconds`, a worker that has not stopped is ended.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def wait() -> None:
        supervisor.join()
        logger.error("the supervisor of this worker has ended, stopping")
        # SIGTERM would keep the port for the shutdown notice, but a new service needs the port.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(grace_seconds)
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="supervisor-watch").start()
