"""What the benchmarks read off a machine on which processes come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from ops.bench.meters import children


def test_the_children_of_a_process_are_those_that_it_started() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid())
        child.communicate(b"\n")
    assert child.pid not in children(os.getpid())
    assert children(child.pid) == []


def test_what_goes_away_while_it_is_looked_at_is_left_out() -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()

    restless = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in restless:
        thread.start()
    try:
        for _ in range(300):
            children(os.getpid())
    finally:
        ended.set()
        for thread in restless:
            thread.join()
