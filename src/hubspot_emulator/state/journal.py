"""The state file: an SQLite table to which every change is written before the response is sent."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Version 1 has the history of a record in a row of its own, which is read when it is needed.
_FORMAT_VERSION = 1
_ROWS_PER_CHUNK = 1_000
# The letters HSEM mark an SQLite file as a state file of the emulator.
_APPLICATION_ID = 0x4853454D


class StateFileError(RuntimeError):
    """Unusable state file; the message gives the reason."""


class StateFileInUseError(StateFileError):
    """State file that another emulator uses."""


class Journal:
    """State file with rows by (kind, key). `flush` writes all changes since the last flush in one transaction.

    Without a path nothing is stored. Raises StateFileError if the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._unwritten: dict[tuple[str, str], Callable[[], Any] | None] = {}
        self._database: sqlite3.Connection | None = None
        self._path = path
        if path is not None:
            self._database = _open(path)

    @property
    def is_persistent(self) -> bool:
        return self._database is not None

    def put(self, kind: str, key: str, body: Callable[[], Any]) -> None:
        """Schedule a row for the next flush, which calls `body` for the content."""
        if self._database is not None:
            self._unwritten[kind, key] = body

    def delete(self, kind: str, key: str) -> None:
        if self._database is not None:
            self._unwritten[kind, key] = None

    def flush(self) -> None:
        """Write all changes. After a StateFileError they stay scheduled for the next flush."""
        if not self._unwritten or self._database is None:
            return
        written = [
            (*row, json.dumps(body(), ensure_ascii=False))
            for row, body in self._unwritten.items()
            if body is not None
        ]
        deleted = [row for row, body in self._unwritten.items() if body is None]
        try:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", written)
            self._database.executemany("DELETE FROM state WHERE kind = ? AND key = ?", deleted)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            # The disk may be full, for example.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StateFileError(f"{self._path} cannot be written: {error}") from error
        self._unwritten.clear()

    def checkpoint(self) -> None:
        """Flush, and move the content of SQLite's write-ahead log into the file."""
        self.flush()
        if self._database is not None:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, kind: str) -> Iterator[tuple[str, Any]]:
        if self._database is None:
            return
        rows = self._database.execute("SELECT key, body FROM state WHERE kind = ?", (kind,))
        while chunk := rows.fetchmany(_ROWS_PER_CHUNK):
            # One call for many rows is faster, and the rows share the names of their members in memory.
            bodies = json.loads(f"[{','.join(body for _, body in chunk)}]")
            yield from zip((key for key, _ in chunk), bodies, strict=True)

    def row(self, kind: str, key: str) -> Any:
        """Return one row, also one that is not written yet, or None if it does not exist."""
        if (kind, key) in self._unwritten:
            body = self._unwritten[kind, key]
            return body() if body is not None else None
        if self._database is None:
            return None
        query = "SELECT body FROM state WHERE kind = ? AND key = ?"
        found = self._database.execute(query, (kind, key)).fetchone()
        return json.loads(found[0]) if found else None

    def clear(self) -> None:
        self._unwritten.clear()
        if self._database is not None:
            self._database.execute("DELETE FROM state")

    def close(self) -> None:
        """Flush and close the file; it is closed even if the flush fails."""
        database = self._database
        if database is None:
            return
        try:
            self.flush()
        finally:
            self._database = None
            database.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateFileError(f"{path} cannot be created: {error.strerror}") from error
    if path.is_dir():
        raise StateFileError(f"{path} is a folder; name a file in it")
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
    except sqlite3.Error as error:
        raise StateFileError(f"{path} cannot be opened: {error}") from error
    try:
        # Two emulators on one file would overwrite each other's records.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        # The file may be another program's database, so check it before writing.
        is_marked = _is_marked(database)
        if not is_marked and not _is_new_or_unmarked(database):
            raise StateFileError(f"{path} is a database, but not a state file of this emulator")
        database.execute("PRAGMA journal_mode=WAL")
        # SQLite loses no commit if the process is killed; a power failure can lose the last ones.
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("BEGIN IMMEDIATE")
        if not is_marked:
            database.execute(
                "CREATE TABLE IF NOT EXISTS state"
                # WITHOUT ROWID would store each body above 1 KB in an overflow page.
                " (kind TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key))"
            )
            database.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        if database.execute("PRAGMA user_version").fetchone() == (0,):
            _move_histories(database)
            database.execute(f"PRAGMA user_version={_FORMAT_VERSION}")
        database.execute("COMMIT")
    except (sqlite3.Error, StateFileError) as error:
        database.close()
        raise _to_state_file_error(path, error) from error
    return database


def _move_histories(database: sqlite3.Connection) -> None:
    database.execute(
        "INSERT OR REPLACE INTO state SELECT 'history', key, json_extract(body, '$.h') FROM state "
        "WHERE kind = 'record' AND json_extract(body, '$.h') IS NOT NULL"
    )
    database.execute("UPDATE state SET body = json_remove(body, '$.h') WHERE kind = 'record'")


def _is_marked(database: sqlite3.Connection) -> bool:
    [number] = database.execute("PRAGMA application_id").fetchone()
    return bool(number == _APPLICATION_ID)


def _is_new_or_unmarked(database: sqlite3.Connection) -> bool:
    """Return True for an empty database, or a state file of the versions that set no application ID."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    columns = [name for _, name, *_ in database.execute("PRAGMA table_info(state)")]
    return not tables or (tables == {"state"} and columns == ["kind", "key", "body"])


def _to_state_file_error(path: Path, error: sqlite3.Error | StateFileError) -> StateFileError:
    if isinstance(error, StateFileError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateFileInUseError(f"{path} is used by another emulator")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StateFileError(
            f"{path} is damaged or not a state file of this emulator; move it away to start with a new file"
        )
    return StateFileError(f"{path} cannot be written: {error}")
