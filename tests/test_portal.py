"""The example portal: its built files, and their delivery by the demo."""

import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from crm_api.cli.demo_app import router
from crm_api.services.accounts.emails import Messages

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "examples" / "portal"
BUILT = ROOT / "src" / "crm_api" / "cli" / "portal"


def sources() -> list[Path]:
    return [path for ending in ("css", "html", "ts") for path in sorted(SOURCES.glob(f"*.{ending}"))]


def mailed_links() -> list[str]:
    """Return the addresses in all mails to users."""
    texts: list[str] = []
    messages = Messages("http://test/portal", lambda **mail: texts.append(mail["text"]))
    messages.verify_email("ada@example.com", "token", hours=1)
    messages.reset_password("ada@example.com", "token", minutes=1)
    messages.choose_password("ada@example.com", "token", hours=1)
    for message in (messages.already_registered, messages.not_registered, messages.password_changed):
        message("ada@example.com")
    return [link for text in texts for link in re.findall(r"^http\S+$", text, re.MULTILINE)]


def test_built_portal_comes_from_the_current_sources() -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources())).hexdigest()
    [first, *_] = (BUILT / "portal.js").read_text(encoding="utf-8").splitlines()
    assert first.endswith(f"SHA-256 of the sources: {digest}"), "run `make portal`"
    for name in ("index.html", "portal.css"):
        assert (BUILT / name).read_bytes() == (SOURCES / name).read_bytes(), "run `make portal`"


def test_built_portal_calls_operations_of_the_contract() -> None:
    document = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    script = (BUILT / "portal.js").read_text(encoding="utf-8")
    called = set(re.findall(r'\.client \?\? client\)\.(\w+)\(\{.*?\burl: "([^"]+)"', script, re.DOTALL))
    assert ("post", "/api/deals") in called
    assert called <= documented, "run `make portal`"


@pytest.mark.parametrize("database_backend", ["sqlite"])
async def test_only_the_demo_serves_the_portal(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/portal/")).status_code == 404
    app.include_router(router)
    redirect = await client.get("/portal")
    assert (redirect.status_code, redirect.headers["Location"]) == (307, "portal/")
    page = await client.get("/portal/")
    policy = (await client.get("/docs")).headers["Content-Security-Policy"]
    assert (page.status_code, page.headers["Content-Security-Policy"]) == (200, policy)
    for link in re.findall(r'(?:href|src)="(portal[^"]+)"', page.text):
        assert (await client.get(f"/portal/{link}")).status_code == 200
    for link in mailed_links():
        assert (await client.get(link)).text == page.text, link
    for unknown in ("__init__.py", "..%2Fdemo.py", "unknown.js"):
        assert (await client.get(f"/portal/{unknown}")).status_code == 404
