"""Alerts and dashboard in deploy/, compared with the service's own metrics."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from fastapi import FastAPI
from prometheus_client import Metric
from pydantic import SecretStr
from tests.support.builders import deal_body
from tests.support.callers import Caller
from tests.support.records import create_deal_as

from crm_api import main as main_module
from crm_api.observability.worker_metrics import WorkerDeaths
from crm_api.settings import Settings
from hubspot_emulator import Emulator

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus-alerts.yml"
RULE_TESTS = ROOT / "deploy" / "prometheus-alerts.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
SELECTOR = re.compile(r"\b(crm_api_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
PROMTOOL = shutil.which("promtool")
# Labels that Prometheus adds, and the label of histogram buckets.
ADDED_LABELS = {"instance", "job", "le"}


def alerts() -> list[dict[str, Any]]:
    """Return all alerting rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panel_expressions() -> dict[str, str]:
    """Return the queries of the dashboard by the panel's title and the query's letter."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels
        for target in panel.get("targets", [])
    }


def expressions() -> dict[str, str]:
    """Return all queries of the alerts and of the dashboard by name."""
    return {rule["alert"]: rule["expr"] for rule in alerts()} | panel_expressions()


def series_of_rule_tests() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and labels of the series in the tests of the alerts."""
    for test in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]:
        for series in test["input_series"]:
            match = SELECTOR.fullmatch(series["series"])
            assert match, series
            yield match[1], {name: value for name, _, value in MATCHER.findall(match[2] or "")}


def matches(labels: dict[str, str], matchers: list[tuple[str, str, str]]) -> bool:
    """Return True if the labels of a sample fulfil all matchers of a selector."""
    return all(
        re.fullmatch(value, labels.get(name, "")) if operator == "=~" else labels.get(name) == value
        for name, operator, value in matchers
    )


@pytest.fixture
def settings(settings: Settings, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(main_module, "GAUGE_INTERVAL_SECONDS", 0.02)
    changed = {"redis_url": SecretStr(valkey_url), "read_cache_seconds": 0.01}
    return settings.model_copy(update=changed)


@pytest.mark.parametrize("database_backend", ["sqlite"], indirect=True)
async def test_each_query_finds_metrics_of_the_service(
    app: FastAPI, customer: Caller, emulator: Emulator
) -> None:
    metrics = app.state.metrics
    emulator.limits.daily = 1000
    await create_deal_as(customer)
    assert (await customer.get("/api/deals")).status_code == 200
    await asyncio.sleep(0.02)  # the cached response is stale now
    emulator.fail_next("*", "/crm/*", status=503, times=50)
    assert "age" in (await customer.get("/api/deals")).headers
    assert (await customer.post("/api/deals", deal_body())).status_code >= 500
    wrong = {"email": customer.email, "password": "not the one"}
    while (await customer.client.post("/api/login", json=wrong)).status_code == 401:
        pass
    # These two states need a refused call each; the tests of missing scopes and retries cover them.
    metrics.scope_missing(scope="tickets", is_missing=True)
    metrics.circuit_changed(circuit="search", state="open")
    deadline = time.monotonic() + 30
    while True:
        families: list[Metric] = [*metrics.registry.collect(), *WorkerDeaths().collect()]
        samples = [sample for family in families for sample in family.samples]
        missing = {
            f"{title}: {name}"
            for title, text in expressions().items()
            for name, matchers in SELECTOR.findall(text)
            if not any(
                sample.name == name and matches(sample.labels, MATCHER.findall(matchers))
                for sample in samples
            )
        }
        if not missing:
            break
        assert time.monotonic() < deadline, missing  # gauges follow the state with a delay
        await asyncio.sleep(0.05)
    labels = {sample.name: set(sample.labels) | ADDED_LABELS for sample in samples}
    for title, text in expressions().items():
        known = set.union(*(labels[name] for name, _ in SELECTOR.findall(text)))
        grouped = {label.strip() for group in GROUPING.findall(text) for label in group.split(",")}
        assert grouped <= known, title
    for name, used in series_of_rule_tests():
        assert set(used) <= labels[name], name


def test_each_alert_has_duration_severity_and_text() -> None:
    for rule in alerts():
        assert re.fullmatch(r"\d+m", rule["for"]), rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def test_monitoring_document_lists_every_alert() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(CrmApi\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in alerts()]


def test_dashboard_panels_have_unique_ids_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_accepts_the_alerts_and_their_tests() -> None:
    assert PROMTOOL
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(RULE_TESTS)]):
        result = subprocess.run([PROMTOOL, *command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_accepts_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    assert PROMTOOL
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(panel_expressions().values())
    ]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    result = subprocess.run(
        [PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
