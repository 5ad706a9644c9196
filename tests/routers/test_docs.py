"""Swagger UI."""

import re

import httpx
from tests.support.callers import assert_problem
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestDocs:
    async def test_docs_page_loads_only_files_of_the_service(self, client: httpx.AsyncClient) -> None:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "http" not in page.text.replace("<!doctype html>", "")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        # The policy blocks inline scripts and styles, so the page must not have any.
        assert not re.search(r"<style|<script(?![^>]* src=)|\bstyle=|\bon\w+=", page.text)
        links = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page.text)
        assert {link.rpartition(".")[2] for link in links} == {"css", "js", "png", "json"}
        for link in links:
            assert (await client.get(f"/{link}")).status_code == 200, link
        assert (await client.get("/docs/assets/..%2f..%2fmain.py")).status_code == 404
        assert (await client.get("/")).headers["location"] == "/docs"

    async def test_docs_return_404_if_disabled_by_setting(
        self, settings: Settings, emulator: Emulator
    ) -> None:
        without_docs = settings.model_copy(update={"docs_enabled": False})
        app = create_app(without_docs, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            assert (await client.get("/docs")).status_code == 404
            for path in ("/", "/openapi.json", "/docs/assets/start.js"):
                assert_problem(await client.get(path), 404, "not_found")
