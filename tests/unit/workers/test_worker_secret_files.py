"""Secrets in files are changed while workers run: each send takes what is there then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.engine.state import Phase, Status
from tests.fakes import plans
from tests.fakes.world import World

CHARGE = plans.plan(plans.charge("charge"))
NAME = "STRIPE_SECRET_KEY"
#: An operator's trouble is looked at again after 30 s. ms.
LATER = 60_000


class Mount:
    """A folder as Kubernetes gives secrets to a container: one link is swapped for all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = iter(range(100))
        self.replace("")
        (folder / NAME).symlink_to(Path("..data") / NAME)

    @property
    def file(self) -> Path:
        return self._folder / NAME

    def replace(self, value: str) -> None:
        version = self._folder / f"..{next(self._versions)}"
        version.mkdir()
        (version / NAME).write_text(value)
        (self._folder / "..new").symlink_to(version.name)
        (self._folder / "..new").replace(self._folder / "..data")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


@pytest.fixture
def world(mount: Mount) -> Iterator[World]:
    found = World()
    del found.secrets[NAME]
    found.secrets[f"{NAME}_FILE"] = str(mount.file)
    yield found
    found.check()
    found.close()


def deliver_all(world: World) -> None:
    while world.broker.queue:
        world.deliver()


def test_a_link_that_is_swapped_counts_from_the_next_send_on(world: World, mount: Mount) -> None:
    for number in (1, 2, 3):
        mount.replace(f"sk_test_{number}\n")
        world.submit(CHARGE)
        deliver_all(world)
    assert world.provider.authorized == [f"Bearer sk_test_{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("written", ["", "\n", "sk_test_\x00\x00"])
def test_a_file_that_is_not_written_yet_fails_no_run(
    world: World, mount: Mount, written: str
) -> None:
    mount.replace(written)
    run = world.submit(CHARGE)
    deliver_all(world)
    visit = world.state(run).visits["charge"]
    assert (visit.phase, visit.code, visit.detail) == (Phase.WAITING, "credential-missing", NAME)
    assert world.provider.authorized == []
    mount.replace("sk_test_whole")
    world.pass_time(LATER)
    world.heal()
    assert world.state(run).status is Status.SUCCEEDED
    assert world.provider.authorized == ["Bearer sk_test_whole"]


def test_a_file_that_is_gone_for_a_while_fails_no_run(world: World, mount: Mount) -> None:
    mount.replace("sk_test_1")
    mount.file.unlink()
    run = world.submit(CHARGE)
    deliver_all(world)
    assert world.state(run).visits["charge"].code == "credential-missing"
    mount.file.write_text("sk_test_2")
    world.pass_time(LATER)
    world.heal()
    assert world.provider.authorized == ["Bearer sk_test_2"]
