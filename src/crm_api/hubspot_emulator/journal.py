"""The state file: one SQLite table, written through before a request is answered."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class StateFileInUseError(RuntimeError):
    """Another emulator keeps its records in this file."""


class Journal:
    """Rows by (kind, key); `put` and `delete` gather, `flush` commits them as one transaction.

    Without a path nothing is kept and every call is free.
    """

    def __init__(self, path: Path | None) -> None:
        self._dirty: dict[tuple[str, str], Callable[[], Any] | None] = {}
        self._database: sqlite3.Connection | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
        try:
            # Exclusive: two emulators over one file would each overwrite what the other knows.
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing; only a power failure may lose the last commits.
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS state"
                # Not WITHOUT ROWID: each body above 1 KB would fill an overflow page of its own.
                " (kind TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key))"
            )
            database.execute("BEGIN IMMEDIATE")
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            database.close()
            raise StateFileInUseError(f"{path} is used by another emulator, or is not writable") from error
        self._database = database

    @property
    def kept(self) -> bool:
        return self._database is not None

    def put(self, kind: str, key: str, body: Callable[[], Any]) -> None:
        """Remember to write a row; `body` is called once, at the flush."""
        if self._database is not None:
            self._dirty[kind, key] = body

    def delete(self, kind: str, key: str) -> None:
        if self._database is not None:
            self._dirty[kind, key] = None

    def flush(self) -> None:
        if not self._dirty or self._database is None:
            return
        dirty, self._dirty = self._dirty, {}
        written = [
            (*row, json.dumps(body(), ensure_ascii=False)) for row, body in dirty.items() if body is not None
        ]
        deleted = [row for row, body in dirty.items() if body is None]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", written)
        self._database.executemany("DELETE FROM state WHERE kind = ? AND key = ?", deleted)
        self._database.execute("COMMIT")

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
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None
