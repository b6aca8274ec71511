"""The alert rules: by promtool, where there is one, and against what there is to be alerted of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ops.lab import CHECKOUT
from ops.metrics.collector import FAMILIES

PROMETHEUS: Final = CHECKOUT / "ops" / "prometheus"
RULES: Final[Any] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
ALERTS: Final[dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool")


def _promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


def _breaks(folder: Path, alert: str, expression: str) -> bool:
    """Whether the tests of the rules fail when one has this expression."""
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        if rule["alert"] == alert:
            rule["expr"] = expression
    (folder / "alerts.yml").write_text(yaml.safe_dump(rules))
    shutil.copy(PROMETHEUS / "alerts_test.yml", folder)
    return _promtool("test", "rules", str(folder / "alerts_test.yml")).returncode != 0


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_names_metrics_that_there_are(alert: str) -> None:
    named = set(re.findall(r"durazzo_\w+", ALERTS[alert]["expr"]))
    base = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in named}
    assert base <= FAMILIES.keys()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_is_wrong_how_bad_and_which_page_tells_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    page = CHECKOUT / rule["annotations"]["runbook"]
    assert alert in page.read_text()
    assert alert in (CHECKOUT / "ops" / "runbooks" / "README.md").read_text()


@needs_promtool
def test_prometheus_takes_the_rules_and_the_settings() -> None:
    for words in (["check", "rules"], ["check", "config", "--syntax-only"]):
        name = "alerts.yml" if "rules" in words else "prometheus.yml"
        done = _promtool(*words, str(PROMETHEUS / name))
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_every_alert_fires_when_it_should_and_is_silent_otherwise() -> None:
    done = _promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_never_fires_or_always_does_is_found(tmp_path: Path, alert: str) -> None:
    assert _breaks(tmp_path, alert, "vector(0) > 1")
    assert _breaks(tmp_path, alert, "vector(1)")


DASHBOARD: Final[Any] = json.loads((CHECKOUT / "ops" / "grafana" / "durazzo.json").read_text())
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS: Final = [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    named = {name for text in EXPRESSIONS for name in re.findall(r"durazzo_\w+", text)}
    assert {re.sub(r"_bucket$", "", name) for name in named} <= FAMILIES.keys()


def test_the_dashboard_shows_trouble_first_and_says_what_each_panel_is() -> None:
    assert DASHBOARD["panels"][0]["title"] == "Trouble first"
    assert PANELS[0]["title"] == "In doubt"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["title"] for panel in PANELS)


@needs_promtool
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = _promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
