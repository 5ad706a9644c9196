"""Text without case differences, in time that is linear in its length."""

import re
import unicodedata
from functools import cache
from typing import Final

MAX_COMPARED_CHARACTERS: Final = 2_048
"""Part of a text that filters and sort orders compare. A filter value has at most 500 characters, so it always fits."""
MAX_MARKS: Final = 30
"""Combining marks that may follow each other (stream-safe text)."""
# Combining marks are neither word characters nor spaces, so most texts need no further search.
_SYMBOL_RUN: Final = re.compile(r"[^\w\s\x00-\x7f]{31,}")


def casefold_text(text: str) -> str:
    """Return the text without case differences, and with composed accents (NFC)."""
    return unicodedata.normalize("NFC", _stream_safe(text)).casefold()


def _stream_safe(text: str) -> str:
    """Return the text with a grapheme joiner after every `MAX_MARKS` combining marks in a row.

    Normalisation sorts each run of marks in quadratic time. https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format
    """
    return _SYMBOL_RUN.sub(lambda run: _mark_run().sub(_join_marks, run[0]), text)


def _join_marks(run: re.Match[str]) -> str:
    marks = run[0]
    return "\u034f".join(marks[start : start + MAX_MARKS] for start in range(0, len(marks), MAX_MARKS))


@cache
def _mark_run() -> re.Pattern[str]:
    # Three marks have the combining class 0, but their decomposition begins with another one.
    marks = "".join(
        char
        for char in map(chr, range(0x300, 0x1F000))
        if not "\ud800" <= char <= "\udfff" and unicodedata.combining(unicodedata.normalize("NFD", char)[0])
    )
    return re.compile(f"[{marks}]{{{MAX_MARKS + 1},}}")
