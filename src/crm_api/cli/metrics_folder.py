"""The folder with the metric files of all workers, and the disk space that each worker reserves in it.

This module does not import prometheus_client, which reads the environment when it is imported.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "crm-api-metrics-"
_NEW_PREFIX: Final = "crm-api-new-metrics-"
_KIB: Final = 1024
# The files of one worker by prometheus_client's names, with more space than all series of the service need.
FILE_BYTES: Final = {
    "counter": 1024 * _KIB,
    "histogram": 2048 * _KIB,
    "gauge_livesum": 64 * _KIB,
    "gauge_livemin": 64 * _KIB,
    "gauge_livemax": 64 * _KIB,
    "gauge_mostrecent": 64 * _KIB,
}
logger = logging.getLogger(__name__)


@contextmanager
def metrics_folder(parent: Path) -> Generator[Path, None, None]:
    """Create a new folder and remove it at the end; the folders of killed processes are removed first.

    Each start uses a new folder, or the counters of an earlier start would be added.
    """
    _remove_unused_folders(parent)
    new = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
    lock = os.open(new, os.O_RDONLY)
    try:
        # The system releases the lock when the process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process removes folders without a lock, so the folder gets its name after the lock.
        folder = new.rename(new.with_name(_PREFIX + new.name.removeprefix(_NEW_PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_unused_folders(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # the lock is held, or the folder belongs to another user
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid():
                    shutil.rmtree(folder)
                    logger.info("metrics folder of an ended process removed: folder=%s", folder)
            finally:
                os.close(lock)


def reserve_metrics_space() -> str | None:
    """Allocate this process's metric files. If that fails, store no metrics in files, and return the reason.

    prometheus_client maps sparse files into memory: on a full disk the first write to a new page would kill the
    process with SIGBUS. Must be called before prometheus_client is imported.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    files = {Path(folder) / f"{name}_{os.getpid()}.db": size for name, size in FILE_BYTES.items()}
    try:
        for file, size in files.items():
            with file.open("ab") as output:
                output.write(bytes(size - output.tell()))
    except OSError as error:
        for file in files:
            file.unlink(missing_ok=True)
        del os.environ[FOLDER_VARIABLE]
        return f"no metrics of this process, {folder} is not writable: {error.strerror}"
    return None
