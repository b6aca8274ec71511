"""keys: what is shown, counted, sealed anew and said; doctor's look at the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cli import keys
from ops.cli.main import invoke
from orchestrator import service
from orchestrator.engine.state import Result
from orchestrator.journal.keys import Keys
from orchestrator.journal.rotation import Progress
from orchestrator.journal.seal import AesSeal, keyring, new_key
from orchestrator.service import Core
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, wire
from tests.cli.test_many import Desk, desk
from tests.fakes import plans

__all__ = ["desk"]

pytestmark = pytest.mark.server


def id_of(key: str) -> str:
    return AesSeal(keyring(key)).ids[0]


@pytest.fixture
def old(desk: Desk) -> str:
    """A journal with something in it, and the key that it was sealed with."""
    desk.end(Result.SUCCEEDED, "")
    ordered(desk.core)
    return from_environ().keys


def ordered(core: Core) -> str:
    """The run of an order, whether it is there or not."""
    return service.submit(core, plans.linear("a"), {"phone": "+15551"}, key="order-1").id


@pytest.fixture
def fresh(old: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new key in front of the old one."""
    key = new_key()
    monkeypatch.setenv("DURAZZO_KEYS", f"{key},{old}")
    return key


def test_a_new_key_is_one_that_is_taken_and_another_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["keys", "new"]) == 0
    assert invoke(["keys", "new"]) == 0
    one, other = capsys.readouterr().out.split()
    assert len(keyring(f"{one},{other}")) == 2
    assert one != other


def test_keys_are_shown_by_their_ids_with_what_they_seal(desk: Desk, old: str, fresh: str) -> None:
    said = desk("keys", "show")
    lines = said.out.splitlines()
    assert lines[0].split() == ["KEY", "STATE", "VALUES", "OF"]
    assert lines[1].split()[:3] == [id_of(fresh), "newest", "0"]
    assert lines[2].split()[:2] == [id_of(old), "older"]
    assert "run keys 1" in lines[2]
    assert old not in said.out + said.err
    assert fresh not in said.out + said.err


def test_the_same_as_json(desk: Desk, old: str, fresh: str) -> None:
    told = desk("keys", "show", "--json").json
    newest, older = told["keys"]
    assert newest == {"id": id_of(fresh), "state": "newest", "values": 0, "kinds": {}}
    assert (older["id"], older["state"]) == (id_of(old), "older")
    assert older["values"] == sum(older["kinds"].values())
    assert older["kinds"]["pepper"] == 1
    assert told["unread"] == 0


def test_a_dry_run_counts_and_changes_nothing(desk: Desk, old: str, fresh: str) -> None:
    before = desk("keys", "show", "--json").json
    told = desk("keys", "rotate", "--dry-run", "--json").json
    assert told["todo"] == before["keys"][1]["values"]
    assert (told["resealed"], told["removable"], told["left"]) == (0, [], [])
    said = desk("keys", "rotate", "--dry-run")
    assert f"would come under key {id_of(fresh)}; nothing was changed" in said.out
    assert desk("keys", "show", "--json").json == before


def test_after_a_rotation_the_old_key_may_go_and_it_says_so(
    desk: Desk, old: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ordered(desk.core)
    said = desk("keys", "rotate")
    assert said.code == 0
    assert f"values came under key {id_of(fresh)}" in said.out
    assert f"no value is left under key id {id_of(old)}: that key may be removed" in said.out
    assert "backups" in said.err
    monkeypatch.setenv("DURAZZO_KEYS", fresh)
    assert [row["state"] for row in desk("keys", "show", "--json").json["keys"]] == ["newest"]
    core = wire(from_environ()).core
    assert ordered(core) == run
    assert core.journal.inputs(run) == {"phone": "+15551"}


def test_a_second_call_has_nothing_to_do(desk: Desk, old: str, fresh: str) -> None:
    assert desk("keys", "rotate", "--json").json["resealed"] > 0
    assert desk("keys", "rotate", "--json").json == {
        "newest": id_of(fresh), "resealed": 0, "removable": [id_of(old)], "left": [],
    }  # fmt: skip


def test_values_under_a_key_that_is_missing_are_left_and_told(
    desk: Desk, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_KEYS", new_key())
    said = desk("keys", "rotate")
    assert said.code == 1
    assert f"under key id {id_of(old)} left: that key is not in DURAZZO_KEYS" in said.out
    assert "may be removed" not in said.out
    assert desk("keys", "show", "--json").json["keys"][1]["state"] == "absent"


def test_what_was_moved_is_left_and_its_key_stays(desk: Desk, old: str, fresh: str) -> None:
    with connect(from_environ().redis_url) as client:
        (run,) = desk.core.journal.recent(1)
        value = client.hget(Keys().data(run), "inputs")
        client.hset(Keys().data("another"), "inputs", value)
    told = desk("keys", "rotate", "--json")
    assert told.code == 1
    (left,) = told.json["left"]
    assert (left["id"], left["values"]) == (id_of(old), 1)
    assert told.json["removable"] == []


def test_without_sealing_there_is_nothing_to_rotate(
    desk: Desk, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_SEAL", "off")
    said = desk("keys", "rotate")
    assert (said.code, said.out) == (2, "")
    assert "settings-refused: DURAZZO_SEAL=off" in said.err
    assert desk("keys", "show").code == 0


def test_ctrl_c_ends_it_and_the_next_call_goes_on(
    desk: Desk, old: str, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut:
        def __enter__(self) -> Callable[[Progress], None]:
            return self._cut

        def __exit__(self, *_: object) -> None: ...

        def _cut(self, _: Progress) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keys, "_shown", lambda _: Cut())
        said = desk("keys", "rotate")
    assert said.code == 130
    assert desk("keys", "rotate").code == 0
    assert all(row["state"] != "older" or not row["values"] for row in _shown(desk))


def _shown(desk: Desk) -> list[dict[str, object]]:
    found: list[dict[str, object]] = desk("keys", "show", "--json").json["keys"]
    return found


def test_the_embedded_servers_own_key_is_rotated_as_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DURAZZO_REDIS_URL", "DURAZZO_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    assert invoke(["keys", "show", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["keys"]
    assert row["id"] == id_of((tmp_path / "home" / "seal.key").read_text())


@pytest.mark.parametrize("ring", ["older", "absent"])
def test_doctor_says_when_the_journal_is_under_another_key(
    desk: Desk, old: str, monkeypatch: pytest.MonkeyPatch, ring: str
) -> None:
    key = new_key()
    monkeypatch.setenv("DURAZZO_KEYS", key if ring == "absent" else f"{key},{old}")
    checks = {one["name"]: one for one in desk("doctor", "--json").json["checks"]}
    assert checks["pepper"]["state"] == ("error" if ring == "absent" else "warning")
    assert id_of(old) in checks["pepper"]["message"]
    if ring == "older":
        assert desk("keys", "rotate").code == 0
        assert "pepper" not in {one["name"] for one in desk("doctor", "--json").json["checks"]}
