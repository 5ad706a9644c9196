"""Access log and personal data in logs."""

import errno
import io
import json

import httpx
import pytest
from tests.support.builders import PASSWORD, deal_body, registration_body
from tests.support.callers import app_client, register_caller
from tests.support.emulator_transport import EmulatorTransport

from crm_api.main import create_app
from crm_api.settings import Settings
from hubspot_emulator import Emulator


class TestLogs:
    @pytest.mark.parametrize("level", ["INFO", "WARNING"])
    async def test_access_line_is_logged_only_at_info_level(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str], level: str
    ) -> None:
        changed = settings.model_copy(update={"log_level": level, "log_format": "json"})
        app = create_app(changed, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            response = await client.get("/api/nothing?q=private")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["event"] for line in lines] == (["request"] if level == "INFO" else [])
        for line in lines:
            assert line["request_id"] == response.headers["x-request-id"]
            assert (line["level"], line["logger"]) == ("info", "crm_api.access")
            assert (line["method"], line["route"], line["status"]) == ("GET", "unknown", 404)
            assert line["timestamp"].endswith("Z")

    async def test_hubspot_failure_is_logged_with_separate_fields(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = settings.model_copy(update={"log_level": "INFO", "log_format": "json"})
        async with app_client(changed, emulator) as client:
            caller = await register_caller(client, "ada@example.com")
            emulator.fail_next("GET", "/crm/pipelines/*", status=403, times=5)
            assert (await caller.get("/api/pipelines")).status_code == 502
            assert (await client.get("/api/me")).status_code == 401
            assert (await client.post("/api/login", content=b"x" * 20_000)).status_code == 413
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        [failure] = [line for line in lines if line["event"] == "hubspot call failed"]
        requests = {line["route"]: line for line in lines if line["event"] == "request"}
        assert (failure["error"], failure["status"]) == ("HubSpotScopeError", 403)
        for line in (failure, requests["/api/pipelines"]):
            assert line["code"] == "hubspot_credentials_refused"
            assert line["operation"] == "pipelines.list"
            assert line["category"]
            assert line["correlation_id"]
        assert requests["/api/me"]["code"] == "invalid_token"
        assert requests["unknown"]["code"] == "request_too_large"
        assert "category" not in requests["/api/me"]
        assert "code" not in requests["/api/register"]

    async def test_request_succeeds_if_the_log_cannot_be_written(
        self, settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost_lines = []

        class FullDisk(io.StringIO):
            def write(self, text: str) -> int:
                lost_lines.append(text)
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("sys.stdout", FullDisk())
        changed = settings.model_copy(update={"log_level": "INFO"})
        app = create_app(changed, hubspot_transport=EmulatorTransport(emulator))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://crm.example"
        ) as client:
            assert (await client.get("/healthz")).status_code == 200
        assert "/healthz" in "".join(lost_lines)

    async def test_logs_contain_no_personal_data(
        self, settings: Settings, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = settings.model_copy(update={"log_level": "DEBUG"})
        async with app_client(changed, emulator) as client:
            caller = await register_caller(client, "ada@example.com")
            await client.post("/api/register", json=registration_body(phone="nonsense"))
            await caller.post("/api/deals", deal_body(description="private"))
        output = "".join(capsys.readouterr())
        assert output.count("/api/register") == 2
        for secret in (
            "ada@example.com",
            "Lovelace",
            "20 7946 0018",
            PASSWORD,
            caller.tokens["access_token"],
            "test-access-token",
            "private",
        ):
            assert secret not in output
