"""Case folding of text: normalisation, and long runs of combining marks."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.services.properties.text import casefold_text

MARKS = "\u0301\u0323"
# Letters, marks of several classes and planes, Hangul, and a mark with the combining class 0.
CHARACTERS = st.sampled_from(
    ["a", "É", "ß", "e", " ", "\u0301", "\u0323", "\u0f73", "\U0001e944", "ᄀ", "ᅡ", "😀"]
)


@given(st.text(CHARACTERS, max_size=30))
def test_short_text_is_normalised_and_casefolded(text: str) -> None:
    assert casefold_text(text) == unicodedata.normalize("NFC", text).casefold()


def test_run_of_combining_marks_is_divided_after_30_marks() -> None:
    folded = casefold_text("x" + MARKS * 50)
    assert "\u034f" in folded
    assert max(len(run) for run in folded.removeprefix("x").split("\u034f")) == 30


def test_casefold_leaves_long_run_of_emoji_unchanged() -> None:
    assert casefold_text("😀" * 100) == "😀" * 100


@pytest.mark.parametrize("text", ["a" + MARKS * 32_767, ("😀" + MARKS * 14) * 2_260, "e\u0301" * 32_768])
def test_casefold_of_long_text_takes_under_a_second(text: str) -> None:
    start = time.process_time()
    casefold_text(text)
    # Without the division, the first text takes more than 5 s.
    assert time.process_time() - start < 1
