"""The published document by arazzo-runner, in one process with a runner to each thread.

``python -m ops.bench.rivals.with_arazzo_runner`` executes what lines of JSON tell it:
``{"do": "go", "orders": […]}``. It runs where arazzo-runner is installed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import requests  # type: ignore[import-untyped]
import yaml
from arazzo_runner import ArazzoRunner  # type: ignore[import-not-found]

_WORKFLOW: Final = "charge-and-sms-confirm"
_OUTPUTS: Final = ("paymentId", "messageSid")
_ENDS: Final = frozenset({"workflow_complete", "error"})


class Runners:
    """Nothing of a runner is made for use by several threads, so each thread has its own."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._document = _repaired(_parsed(os.environ["BENCH_DOCUMENT"]))
        self._sources = {
            "stripeApi": _moved(_parsed(os.environ["BENCH_STRIPE"])),
            "twilioMessagingApi": _moved(_parsed(os.environ["BENCH_TWILIO"])),
        }

    def execute(self, inputs: dict[str, Any]) -> bool:
        """Step by step: ``execute_workflow`` adds four callbacks at each call, for ever."""
        runner = self._runner()
        run = runner.start_workflow(_WORKFLOW, inputs)
        status = ""
        while status not in _ENDS:
            status = runner.execute_next_step(run)["status"].value
        outputs = runner.execution_states.pop(run).workflow_outputs
        return status == "workflow_complete" and all(outputs.get(name) for name in _OUTPUTS)

    def _runner(self) -> Any:
        if not hasattr(self._own, "runner"):
            session = requests.Session()
            # No look for proxies and passwords of the machine at every call.
            session.trust_env = False
            self._own.runner = ArazzoRunner(
                arazzo_doc=self._document, source_descriptions=self._sources, http_client=session
            )
        return self._own.runner


def _repaired(document: dict[str, Any]) -> dict[str, Any]:
    """As published, it makes no call and says that the workflow is complete.

    It finds no operation that is named with its source, and writes a form's truth as ``True``,
    which Stripe's look-alike refuses.
    """
    for workflow in document["workflows"]:
        for step in workflow["steps"]:
            step["operationId"] = step["operationId"].rpartition(".")[2]
            payload = step["requestBody"]["payload"]
            payload.update({name: "true" for name, value in payload.items() if value is True})
    return document


def _moved(description: dict[str, Any]) -> dict[str, Any]:
    """Its servers are the sandbox's: the runner itself lets no more than their variables be set."""
    for server in description["servers"]:
        for prefix, place in json.loads(os.environ["DURAZZO_SERVERS"]).items():
            server["url"] = server["url"].replace(prefix, place)
    return description


def _parsed(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return found


def main() -> None:
    # It logs each step otherwise.
    logging.getLogger().setLevel(logging.ERROR)
    runners = Runners()
    with ThreadPoolExecutor(int(os.environ["BENCH_AT_ONCE"])) as threads:
        _say(ready="arazzo-runner")
        for line in sys.stdin:
            orders = json.loads(line)["orders"]
            done = list(threads.map(runners.execute, orders))
            _say(succeeded=sum(done))


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
