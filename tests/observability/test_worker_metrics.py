"""The endpoint that serves the metrics of all workers, while files appear, disappear or are damaged."""

import os
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from crm_api.observability.worker_metrics import MULTIPROCESS_VARIABLE, remove_worker_gauges, serve_metrics

GAUGE = 'crm_api_pool_size{pool="database"} 3.0'
# One worker's files, written by a process of its own because prometheus_client reads the variable at import.
WORKER = """
import time
from crm_api.observability.metrics import Metrics
metrics = Metrics()
metrics.pool("database", used=1, size=3)
metrics.request_finished(method="GET", route="/healthz", status=200, seconds=0.1)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def worker(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    environment = {**os.environ, MULTIPROCESS_VARIABLE: str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def metrics_url(tmp_path: Path) -> Generator[str]:
    with serve_metrics("127.0.0.1", 0, tmp_path) as port:
        yield f"http://127.0.0.1:{port}/metrics"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 64, b"nonsense" * 8, (64).to_bytes(4, "little")])
def test_incomplete_metrics_file_is_left_out(tmp_path: Path, metrics_url: str, content: bytes) -> None:
    (tmp_path / "counter_1.db").write_bytes(content)
    response = httpx.get(metrics_url, timeout=30)
    assert response.status_code == 200
    assert GAUGE in response.text


@pytest.mark.usefixtures("worker")
def test_file_removed_before_it_is_read_is_left_out(tmp_path: Path, metrics_url: str) -> None:
    # A dangling link is listed but cannot be opened, like a file that was removed in between.
    (tmp_path / "counter_1.db").symlink_to(tmp_path / "removed")
    response = httpx.get(metrics_url, timeout=30)
    assert response.status_code == 200
    assert GAUGE in response.text


@pytest.mark.usefixtures("worker")
def test_gauge_file_without_process_id_is_left_out(tmp_path: Path, metrics_url: str) -> None:
    (tmp_path / "gauge_livesum_unknown.db").touch()
    response = httpx.get(metrics_url, timeout=30)
    assert response.status_code == 200
    assert GAUGE in response.text


@pytest.mark.usefixtures("worker")
def test_parallel_scrapes_remove_gauges_of_dead_worker(
    tmp_path: Path, metrics_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gauge = tmp_path / f"gauge_livesum_{dead.pid}.db"
    both_listed = Barrier(2, timeout=30)

    def wait_for_other_scrape(pid: int, _signal: int) -> None:
        if pid == dead.pid:
            both_listed.wait()
            raise ProcessLookupError

    [original] = tmp_path.glob("gauge_livesum_*.db")
    gauge.write_bytes(original.read_bytes())
    monkeypatch.setattr(os, "kill", wait_for_other_scrape)
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(lambda _: httpx.get(metrics_url, timeout=60), range(2)))
    monkeypatch.undo()
    assert [response.status_code for response in responses] == [200, 200]
    assert all(GAUGE in response.text for response in responses)
    assert not gauge.exists()


def test_worker_may_end_while_a_scrape_removes_its_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    listed = Path.glob

    def glob_then_remove(folder: Path, pattern: str) -> list[Path]:
        files = list(listed(folder, pattern))
        for file in files:
            file.unlink()
        return files

    gauge = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    gauge.touch()
    monkeypatch.setattr(Path, "glob", glob_then_remove)
    remove_worker_gauges()
    assert not gauge.exists()


def test_metrics_endpoint_responds_after_folder_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    with serve_metrics("127.0.0.1", 0, folder) as port:
        folder.rmdir()
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).status_code == 200
