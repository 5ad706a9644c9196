"""Links between documents, and the tests that documents name."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.support.words import checked_files

ROOT = Path(__file__).parents[1]
DOCUMENTS = subprocess.run(
    ["git", "ls-files", "*.md"],  # noqa: S607
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()


def without_code(text: str) -> str:
    """Remove code blocks and inline code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as the repository host makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_links_lead_to_existing_files_and_headings(name: str) -> None:
    text = without_code((ROOT / name).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{name}: {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tests_named_in_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for path, member in re.findall(r"\b((?:tests/[\w/]*)?test_\w+\.py)(?:::(\w+))?", text):
        files = [ROOT / path] if "/" in path else list((ROOT / "tests").rglob(path))
        assert any(file.exists() for file in files), f"{name}: {path}"
        assert any(
            re.search(rf"(class|def) {member}\b", file.read_text(encoding="utf-8")) for file in files
        ), f"{name}: {path}::{member}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_documented_make_targets_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / name).read_text(encoding="utf-8")))
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) & set(checked_files())))
def test_documents_have_one_sentence_per_line(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"```.*?```|<!-- begin of measurements.*?<!-- end", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if re.search(r"[^\d\s][)`\"]*[.!?] +[A-Z`(\[]", line)] == []
