"""Metrics of all workers: files that workers write, and the endpoint that serves their sums."""

import logging
import os
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

# Folder in which workers store their metrics; prometheus_client reads the variable when it is imported.
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
READ_ATTEMPTS: Final = 5
READ_PAUSE_SECONDS: Final = 0.02
logger = logging.getLogger(__name__)


class AllWorkersCollector(MultiProcessCollector):
    """Collector of all workers' metrics; it removes the gauges of killed workers.

    Workers start and end during a scrape, and several scrapes may run at once, so any file may be incomplete or
    disappear between two steps.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(None, str(folder))  # type: ignore[no-untyped-call]
        self._folder = folder
        self._reported: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """Return the current metrics; a file that stays unreadable is left out and logged once."""
        for file in self._folder.glob("*.db"):
            pid = file.stem.rpartition("_")[2]
            if pid.isdecimal() and not _is_alive(int(pid)):
                if file.name.startswith("gauge_live"):
                    file.unlink(missing_ok=True)
                else:
                    _free_reserved_space(file)
        for _ in range(READ_ATTEMPTS):
            try:
                return self._merged(self._folder.glob("*.db"))
            except Exception:  # noqa: BLE001 - prometheus_client raises many classes for incomplete files
                time.sleep(READ_PAUSE_SECONDS)
        try:
            return self._merged(self._readable_files())
        except Exception as error:  # noqa: BLE001 - the endpoint must respond
            logger.warning("metrics of the workers not readable: error=%s", type(error).__name__)
            return ()

    def _merged(self, files: Iterable[Path]) -> Iterable[Metric]:
        metrics: Iterable[Metric] = self.merge([str(file) for file in files])  # type: ignore[no-untyped-call]
        return metrics

    def _readable_files(self) -> list[Path]:
        readable = []
        for file in self._folder.glob("*.db"):
            try:
                self._merged([file])
            except Exception as error:  # noqa: BLE001 - as above
                if file.name not in self._reported:
                    self._reported.add(file.name)
                    logger.warning("metrics file left out: file=%s error=%s", file.name, type(error).__name__)
            else:
                readable.append(file)
        return readable


class WorkerDeaths(Collector):
    """Counter of dead workers, in the supervisor's memory."""

    def __init__(self) -> None:
        self._count = 0

    def increment(self) -> None:
        """Count a dead worker."""
        self._count += 1

    def collect(self) -> Iterable[Metric]:
        """Return the counter."""
        yield CounterMetricFamily("crm_api_worker_deaths", "Workers that ended unexpectedly.", self._count)


@contextmanager
def serve_metrics(host: str, port: int, folder: Path, *collectors: Collector) -> Generator[int, None, None]:
    """Serve the metrics in the folder from a thread and yield the port. Raises `OSError` if the port is in use."""
    registry = CollectorRegistry()
    for collector in (AllWorkersCollector(folder), *collectors):
        registry.register(collector)
    server, thread = start_http_server(port, host, registry)
    try:
        yield int(server.server_port)
    finally:
        # The caller removes the folder next, and no scrape may read a partly removed folder.
        server.shutdown()
        server.server_close()
        thread.join()


def remove_worker_gauges() -> None:
    """Remove this worker's gauges; its counters stay."""
    folder = os.environ.get(MULTIPROCESS_VARIABLE)
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{os.getpid()}.db"):
            file.unlink(missing_ok=True)  # a scrape may remove it at the same time


def _free_reserved_space(file: Path) -> None:
    """Shorten a dead worker's file to its used part, whose length its first four bytes contain."""
    with suppress(OSError), file.open("r+b") as content:
        used = int.from_bytes(content.read(4), sys.byteorder)
        if 0 < used < content.seek(0, os.SEEK_END):
            content.truncate(used)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
