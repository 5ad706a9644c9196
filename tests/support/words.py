"""Words that the project's text must not contain, and the parts of each file that count as text."""

import ast
import io
import json
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

# Words that readers did not understand. If a word is right in a sentence, rephrase the sentence.
BANNED: Final[tuple[str, ...]] = (
    r"mend(?:s|ed|ing)?",
    r"anew",
    r"bears",
    r"hangs on",
    r"whoever",
    r"whosever",
    r"of ours",
    r"of theirs",
    r"told",
    r"heal(?:s|ed|ing)?",
    r"is away",
    r"costs nobody",
    r"stands in",
    r"where it is",
    r"what it is made of",
    r"so many",
    r"a look(?!-)",
    r"what is left of",
    r"made earlier",
    r"left alone",
)
BANNED_IN_DOCUMENTS: Final[tuple[str, ...]] = (*BANNED, r"by itself")

LOG_METHODS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
MAX_TEST_NAME_LENGTH: Final = 60
GENERATED: Final = ("docs/licences.md",)
"""Documents that quote other projects."""


class Text(NamedTuple):
    """One piece of text; `line` is 0 if the format has no useful line number."""

    line: int
    text: str


def checked_files() -> list[str]:
    """Return the files in git that contain text."""
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if reader_of(name) and name not in GENERATED and (ROOT / name).exists()]


def reader_of(name: str) -> Callable[[str], Iterator[Text]] | None:
    """Return the function that extracts the text of this file, or None if the file is not checked."""
    if name == "openapi.json":
        return openapi_texts
    path = Path(name)
    if path.name in {"Makefile", "Dockerfile", ".env.example", "run"}:
        return hash_comments
    return READERS.get(path.suffix)


def findings(name: str) -> list[str]:
    """Return `file:line: word` for each banned word in the text of this file."""
    reader = reader_of(name)
    assert reader is not None
    words = BANNED_IN_DOCUMENTS if name.endswith(".md") else BANNED
    pattern = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    source = (ROOT / name).read_text(encoding="utf-8")
    return [
        f"{name}:{line}: {match[0]}"
        for line, text in reader(source)
        for match in pattern.finditer(re.sub(r"\s+", " ", text))
    ]


def python_texts(source: str) -> Iterator[Text]:
    """Yield docstrings, attribute docstrings, comments and log messages."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield from _strings(node.value)
        elif isinstance(node, ast.Call) and _is_log_call(node):
            for argument in node.args:
                yield from _strings(argument)


def names_of_tests(source: str) -> Iterator[Text]:
    """Yield the names of the test functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Text(node.lineno, node.name)


def openapi_texts(source: str) -> Iterator[Text]:
    """Yield the descriptions and summaries of an OpenAPI document."""
    pending: list[Any] = [json.loads(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield from (
                Text(0, value)
                for key, value in node.items()
                if key in {"description", "summary"} and isinstance(value, str)
            )
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def markdown_lines(source: str) -> Iterator[Text]:
    """Yield each line; the last column of a table is left out if its heading is "Not"."""
    in_glossary = False
    for number, line in enumerate(source.splitlines(), start=1):
        in_glossary = line.startswith("|") and (in_glossary or line.endswith("| Not |"))
        yield Text(number, line.rsplit("|", 2)[0] if in_glossary else line)


def hash_comments(source: str) -> Iterator[Text]:
    """Yield the comments of shell, YAML, TOML, make and Docker files."""
    return _comments(source, r"(?:^|\s)#(.*)")


def slash_comments(source: str) -> Iterator[Text]:
    """Yield the comments of JavaScript and TypeScript files."""
    return _comments(source, r"(?:^|\s)(?://|/\*|\*)(.*)")


READERS: Final[dict[str, Callable[[str], Iterator[Text]]]] = {
    ".py": python_texts,
    ".md": markdown_lines,
    ".mjs": slash_comments,
    ".ts": slash_comments,
    ".sh": hash_comments,
    ".yaml": hash_comments,
    ".yml": hash_comments,
    ".toml": hash_comments,
    ".in": hash_comments,
}


def _comments(source: str, pattern: str) -> Iterator[Text]:
    for number, line in enumerate(source.splitlines(), start=1):
        if match := re.search(pattern, line):
            yield Text(number, match[1])


def _is_log_call(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in LOG_METHODS:
        return False
    return "log" in ast.unparse(function.value).lower()


def _strings(node: ast.AST) -> Iterator[Text]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield Text(part.lineno, part.value)
