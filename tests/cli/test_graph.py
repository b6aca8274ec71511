"""``durazzo graph``: the drawing on stdout, everything else on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.cli.main import invoke
from orchestrator.service.draw import MAX_EDGES
from tests.cli.conftest import CHARGE_AND_TEXT
from tests.unit.formats.loading import SHOP, arazzo


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DURAZZO_SOURCE_HOSTS", raising=False)


def test_the_drawing_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", str(CHARGE_AND_TEXT)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == "flowchart TD"
    assert "create-payment" in said.out
    assert "warning arazzo-double-quoted-string" in said.err
    assert "arazzo-double-quoted-string" not in said.out


def test_json_holds_the_workflow_and_the_same_drawing(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["graph", str(CHARGE_AND_TEXT)])
    drawn = capsys.readouterr().out
    assert invoke(["graph", str(CHARGE_AND_TEXT), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"workflow": "charge-and-sms-confirm", "mermaid": drawn}


def test_a_document_that_cannot_be_run_is_not_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", str(CHARGE_AND_TEXT), "--strict"]) == 3
    assert capsys.readouterr().out == ""


def test_more_than_mermaid_draws_is_drawn_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = "".join(
        f"      - {{stepId: s{n}, operationId: createOrder}}\n" for n in range(MAX_EDGES // 2 + 1)
    )
    (tmp_path / "flow.yaml").write_text(arazzo(steps))
    (tmp_path / "shop.yaml").write_text(SHOP)
    assert invoke(["graph", str(tmp_path / "flow.yaml")]) == 0
    said = capsys.readouterr()
    assert f"Mermaid draws at most 50000 characters and {MAX_EDGES} edges" in said.err
    assert "--> succeeded" in said.out
