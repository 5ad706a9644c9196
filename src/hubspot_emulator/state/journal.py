"""The state file: one SQLite table, written through before a request is answered."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Tells our files from other SQLite files: the letters HSEM.
_APPLICATION_ID = 0x4853454D


class StateFileError(RuntimeError):
    """The file cannot be used for an emulator's records; the text says why."""


class StateFileInUseError(StateFileError):
    """Another emulator keeps its records in this file."""


class Journal:
    """Rows by (kind, key); `put` and `delete` gather, `flush` commits them as one transaction.

    Without a path nothing is kept and every call is free. Raises StateFileError.
    """

    def __init__(self, path: Path | None) -> None:
        self._dirty: dict[tuple[str, str], Callable[[], Any] | None] = {}
        self._database: sqlite3.Connection | None = None
        self._path = path
        if path is not None:
            self._database = _opened(path)

    @property
    def kept(self) -> bool:
        return self._database is not None

    def put(self, kind: str, key: str, body: Callable[[], Any]) -> None:
        """Remember to write a row; `body` is called at the flush."""
        if self._database is not None:
            self._dirty[kind, key] = body

    def delete(self, kind: str, key: str) -> None:
        if self._database is not None:
            self._dirty[kind, key] = None

    def flush(self) -> None:
        """Raises StateFileError; what could not be written is then tried again at the next flush."""
        if not self._dirty or self._database is None:
            return
        written = [
            (*row, json.dumps(body(), ensure_ascii=False))
            for row, body in self._dirty.items()
            if body is not None
        ]
        deleted = [row for row, body in self._dirty.items() if body is None]
        try:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", written)
            self._database.executemany("DELETE FROM state WHERE kind = ? AND key = ?", deleted)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            # Such as a full disk.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StateFileError(f"{self._path} cannot be written: {error}") from error
        self._dirty.clear()

    def gather(self) -> None:
        """Move what SQLite keeps beside the file into it."""
        self.flush()
        if self._database is not None:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, kind: str) -> Iterator[tuple[str, Any]]:
        if self._database is not None:
            for key, body in self._database.execute("SELECT key, body FROM state WHERE kind = ?", (kind,)):
                yield key, json.loads(body)

    def clear(self) -> None:
        self._dirty.clear()
        if self._database is not None:
            self._database.execute("DELETE FROM state")

    def close(self) -> None:
        """Let go of the file, also when the last changes cannot be written."""
        database = self._database
        if database is None:
            return
        try:
            self.flush()
        finally:
            self._database = None
            database.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateFileError(f"{path} cannot be made: {error.strerror}") from error
    if path.is_dir():
        raise StateFileError(f"{path} is a folder; name a file in it")
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
    except sqlite3.Error as error:
        raise StateFileError(f"{path} cannot be opened: {error}") from error
    try:
        # Exclusive: two emulators over one file would each overwrite what the other knows.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Looked at before anything is written: it may be somebody else's database.
        is_marked = _is_marked(database)
        if not is_marked and not _may_be_ours(database):
            raise StateFileError(f"{path} is a database, but not one of this emulator")
        database.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing; only a power failure may lose the last commits.
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("BEGIN IMMEDIATE")
        if not is_marked:
            database.execute(
                "CREATE TABLE IF NOT EXISTS state"
                # Not WITHOUT ROWID: each body above 1 KB would fill an overflow page of its own.
                " (kind TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key))"
            )
            database.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        database.execute("COMMIT")
    except (sqlite3.Error, StateFileError) as error:
        database.close()
        raise _explained(path, error) from error
    return database


def _is_marked(database: sqlite3.Connection) -> bool:
    [number] = database.execute("PRAGMA application_id").fetchone()
    return bool(number == _APPLICATION_ID)


def _may_be_ours(database: sqlite3.Connection) -> bool:
    """Whether it is new, or of the time before files were marked."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    columns = [name for _, name, *_ in database.execute("PRAGMA table_info(state)")]
    return not tables or (tables == {"state"} and columns == ["kind", "key", "body"])


def _explained(path: Path, error: sqlite3.Error | StateFileError) -> StateFileError:
    if isinstance(error, StateFileError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateFileInUseError(f"{path} is used by another emulator")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StateFileError(
            f"{path} is damaged, or is no file of this emulator; move it away to start anew"
        )
    return StateFileError(f"{path} cannot be written: {error}")
