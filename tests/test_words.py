"""The text rules: banned words, and the length of test names."""

import pytest
from tests.support import words


@pytest.mark.parametrize("name", words.checked_files())
def test_text_has_no_banned_word(name: str) -> None:
    assert words.findings(name) == []


def test_test_names_have_at_most_60_characters() -> None:
    files = [name for name in words.checked_files() if name.startswith("tests/") and name.endswith(".py")]
    names = [
        f"{file}:{line}: {name}"
        for file in files
        for line, name in words.names_of_tests((words.ROOT / file).read_text(encoding="utf-8"))
        if len(name) > words.MAX_TEST_NAME_LENGTH
    ]
    assert names == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""It is told."""', ["It is told."]),
        ('class A:\n    x = 1\n    """An attribute."""', ["An attribute."]),
        ("x = 1  # a comment", ["# a comment"]),
        ('logger.info("lost: %s", name)', ["lost: %s"]),
        ('self._logger.warning(f"lost {name}")', ["lost "]),
        ('raise ValueError("no text")', []),
    ],
)
def test_python_texts_finds_docstrings_comments_and_logs(source: str, expected: list[str]) -> None:
    assert [text for _, text in words.python_texts(source)] == expected


def test_glossary_column_of_words_to_avoid_is_skipped() -> None:
    source = "| Term | Not |\n|---|---|\n| relink | heal |\n\nheal"
    assert [line for line, text in words.markdown_lines(source) if "heal" in text] == [5]


def test_openapi_texts_finds_nested_descriptions() -> None:
    source = (
        '{"paths": {"/a": {"get": {"summary": "S", "parameters": [{"description": "D"}], "title": "T"}}}}'
    )
    assert sorted(text for _, text in words.openapi_texts(source)) == ["D", "S"]
