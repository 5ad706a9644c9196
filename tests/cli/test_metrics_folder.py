"""The folder of metric files: its removal after a kill, reserved space, and a full disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crm_api.cli.metrics_folder import FILE_BYTES, FOLDER_VARIABLE, metrics_folder
from crm_api.errors import ERROR_TYPES
from crm_api.main import create_app
from crm_api.openapi.document import build_document
from crm_api.settings import Settings

# Far more operations than the HubSpot client has, with every outcome.
SERIES = """
import os, sys
from crm_api.cli.metrics_folder import reserve_metrics_space
print(reserve_metrics_space(), "PROMETHEUS_MULTIPROC_DIR" in os.environ)
from crm_api.observability.metrics import Metrics
metrics = Metrics(version="1.2.3")
methods = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "other")
routes, statuses = (eval(argument) for argument in sys.argv[1:])
for route in routes:
    for method in methods:
        metrics.request_finished(method=method, route=route, status=405, seconds=0.1)
    for status in statuses:
        metrics.request_finished(method="POST", route=route, status=status, seconds=0.1)
for operation in (f"associations.operation_{number}" for number in range(60)):
    for outcome in (f"HubSpotErrorWithLongName{number}" for number in range(20)):
        metrics.call_finished(operation=operation, outcome=outcome, attempt=1, seconds=0.1)
        metrics.retried(operation=operation, reason=outcome)
for name in ("database", "hubspot", "passwords"):
    metrics.pool(name, used=1, size=2)
"""


def run_worker(folder: Path, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(repr, arguments)],
        env={**os.environ, FOLDER_VARIABLE: str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_folder_of_killed_process_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left_over = tmp_path / "crm-api-metrics-killed"
    left_over.mkdir()
    (left_over / "counter_1.db").touch()
    with metrics_folder(tmp_path) as folder:
        assert not left_over.exists()
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_folder_of_running_process_stays(tmp_path: Path) -> None:
    with metrics_folder(tmp_path) as first, metrics_folder(tmp_path) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert first != second


def test_foreign_files_and_links_in_the_parent_folder_stay(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    link, file = tmp_path / "crm-api-metrics-link", tmp_path / "crm-api-metrics-file"
    link.symlink_to(other)
    file.touch()
    with metrics_folder(tmp_path):
        assert link.is_symlink()
        assert other.is_dir()
        assert file.is_file()


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
def test_all_series_of_the_service_fit_into_the_reserved_space(tmp_path: Path, settings: Settings) -> None:
    routes = [*build_document(create_app(settings))["paths"], "unknown"]
    assert len(routes) > 25
    statuses = sorted({200, 201, 202, 204, 304} | {error.status for error in ERROR_TYPES.values()})
    assert run_worker(tmp_path, SERIES, routes, statuses).stdout == "None True\n"
    sizes = {file.name.rpartition("_")[0]: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes == FILE_BYTES


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_worker_starts_without_metrics_if_the_disk_is_full(tmp_path: Path) -> None:
    script = f"import os; os.symlink('/dev/full', f'{tmp_path}/histogram_{{os.getpid()}}.db')\n{SERIES}"
    done = run_worker(tmp_path, script, ["/healthz"], [200])
    reason = f"no metrics of this process, {tmp_path} is not writable: No space left on device"
    assert done.stdout == f"{reason} False\n"
    assert list(tmp_path.iterdir()) == []
