"""Supply chain: secrets in the repository, licences, and lock files."""

import re
import subprocess
from pathlib import Path

import pytest
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[1]
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.lock")),
    ROOT / "contract" / "requirements.lock",
    ROOT / "contract" / "matrix" / "requirements.lock",
]

# Files with hashes and generated files, whose sources are scanned.
NOT_SCANNED = (".lock", ".png", "package-lock.json", "openapi.json", ".js", ".css")
DETECTORS = (
    "AWSKeyDetector",
    "ArtifactoryDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "StripeDetector",
    "TwilioKeyDetector",
)
# A region and a UUID: https://developers.hubspot.com/docs/apps/legacy-apps/private-apps/overview
HUBSPOT = re.compile(
    r"\b(?:pat-)?(?:na|eu|ap)\d-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)
KNOWN = {
    # Examples of the contract.
    "5f0c8a52c2f04d6c8a1d0a2b7c9e4f11",
    "pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1fJ7hG0lK2xYc",
    "rt_pQd3x7c1V9yqk2b0nS8mT5uW4zA6eR1f",
    "eyJhbGciOiJIUzI1NiJ9.e30.",
    # Passwords in example URLs, or in tests of masking.
    "password",
    "{password}",
    "hidden",
    "hidden-password",
    "secret-of-mine",
    "p%3Aw",
    # Values of tests.
    "Zk4fQw8yT2mX6vB1nR7cL3pD9sH5jG0a",
    "uE7rY1qW9oP3iA5sD2fG8hJ4kL6zX0cV",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "0123456789abcdef0123456789abcdef",
}


def secrets_in(paths: list[Path]) -> dict[str, str]:
    """Return the type of each unknown secret by file and line."""
    plugins: list[dict[str, str | float]] = [{"name": name} for name in DETECTORS]
    plugins += [
        {"name": "Base64HighEntropyString", "limit": 4.5},
        {"name": "HexHighEntropyString", "limit": 3.0},
    ]
    filters = [
        {"path": "detect_secrets.filters.heuristic.is_potential_uuid"},
        {"path": "detect_secrets.filters.heuristic.is_sequential_string"},
    ]
    secrets = {}
    with transient_settings({"plugins_used": plugins, "filters_used": filters}):
        collection = SecretsCollection()
        for path in paths:
            collection.scan_file(str(path))
        for file, secret in collection:
            if secret.secret_value not in KNOWN:
                secrets[f"{file}:{secret.line_number}"] = secret.type
    for path in paths:
        for match in HUBSPOT.finditer(path.read_text(encoding="utf-8", errors="replace")):
            secrets[f"{path}: {match[0][:8]}..."] = "HubSpot token"
    return secrets


def test_repository_contains_no_secret() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    paths = [ROOT / name for name in listed if name and not name.endswith(NOT_SCANNED)]
    assert secrets_in([path for path in paths if path.is_file()]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "token = 'pat-na1-" + "1b2c3d4e-aaaa-bbbb-cccc-0123456789ab'",
        "HUBSPOT_REFRESH_TOKEN=eu1-" + "1b2c3d4e-aaaa-bbbb-cccc-0123456789ab",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "aws_key = 'AKIA" + "Q3EGRIL5KXW7ZT2M'",
        "url = 'postgresql://crm:" + "Tr0ub4dor@db.example/crm'",
        "secret_key = '" + "q9Zt4LmX2vB7nR1cK8pW3sH6jG0aYdUe'",
        "slack = 'xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx'",
    ],
)
def test_secret_scan_finds_the_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.py"
    path.write_text(text + "\n")
    assert secrets_in([path])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_files_have_hashes_and_no_urls(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._\[\]-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions of each package, without packages for some platforms or Python versions only."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9._-]+)==([^ ]+) \\", line):
            versions.setdefault(match[1], set()).add(match[2])
    return versions


def test_runtime_and_otel_locks_have_versions_of_dev_lock() -> None:
    """Tests run with the versions that are installed in production."""
    development = locked("dev.lock")
    for name in ("runtime.lock", "otel.lock"):
        assert {package: development[package] for package in locked(name)} == locked(name)


def test_licences_of_dependencies_are_listed_without_copyleft() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) +\| (\S+) +\| (.+?) +\|$", page, re.MULTILINE)
    listed = {re.sub(r"[._-]+", "-", name.lower()): (version, licence) for name, version, licence in rows[1:]}
    for name, versions in locked("otel.lock").items():
        assert listed.get(name, ("", ""))[0] in versions, f"{name}: run `make licences`"
    for name, (_, licence) in listed.items():
        # MPL 2.0 applies only to its own files.
        assert not re.search(r"\b(A?GPL|LGPL|SSPL|BUSL|UNKNOWN)", licence), (name, licence)
