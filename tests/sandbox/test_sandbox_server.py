from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ops.sandbox.server import BackgroundSandbox, env_lines, serve, write_private

GOOD = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
INTENTS = "/v1/payment_intents"

ROOT = Path(__file__).parents[2]


def test_the_first_page_says_that_this_is_a_sandbox(sandbox: BackgroundSandbox) -> None:
    answer = httpx.get(sandbox.url, trust_env=False)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "sandbox" in answer.text
    assert "moves no money" in answer.text
    for provider in ("Stripe", "Twilio", "Fintecture", "Anthropic"):
        assert f"{provider} (/{provider.lower()})" in " ".join(answer.text.split())
    assert "NOT HOW THE PROVIDERS BEHAVE" not in answer.text


def test_it_is_healthy(sandbox: BackgroundSandbox) -> None:
    assert httpx.get(f"{sandbox.url}/healthz", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/faults", 405), ("GET", "/reset", 404)],
)
def test_what_is_not_here_is_said(
    sandbox: BackgroundSandbox, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, f"{sandbox.url}{path}", trust_env=False)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", ['{"advance": -1}', '{"advance": NaN}', '{"advance": "1"}', "{}", "[", "[]"]
)
def test_the_clock_only_goes_forward(sandbox: BackgroundSandbox, body: str) -> None:
    answer = httpx.post(f"{sandbox.url}/clock", content=body, trust_env=False)
    assert answer.status_code == 400


def test_many_sandboxes_keep_books_of_their_own() -> None:
    with BackgroundSandbox() as one, BackgroundSandbox() as other:
        headers = {"Authorization": f"Bearer {one.env['STRIPE_SECRET_KEY']}"}
        httpx.post(f"{one.url}/stripe{INTENTS}", data=GOOD, headers=headers, trust_env=False)
        assert (one.summary()["charges"], other.summary()["charges"]) == (1, 0)


def test_a_shell_reads_the_lines_as_they_are_meant(sandbox: BackgroundSandbox) -> None:
    script = (
        "set -a; . /dev/stdin; exec "
        f'{sys.executable} -c "import os, json; print(json.dumps(dict(os.environ)))"'
    )
    shell = subprocess.run(
        ["/bin/sh", "-c", script],
        input=env_lines(sandbox.url),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    variables = json.loads(shell.stdout)
    assert json.loads(variables["DURAZZO_SERVERS"]) == {
        "https://api.stripe.com": f"{sandbox.url}/stripe",
        "https://api.twilio.com": f"{sandbox.url}/twilio",
        "https://api.fintecture.com": f"{sandbox.url}/fintecture",
        "https://api-sandbox.fintecture.com": f"{sandbox.url}/fintecture",
        "https://api.anthropic.com": f"{sandbox.url}/anthropic",
    }
    assert variables["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert len(variables["TWILIO_ACCOUNT_SID"]) == len("AC") + 32
    assert len(variables["TWILIO_AUTH_TOKEN"]) == 32
    assert len(variables["FINTECTURE_APP_ID"]) == len(variables["FINTECTURE_APP_SECRET"]) == 36
    assert variables["ANTHROPIC_API_KEY"].startswith("sk-ant-sandbox-")
    assert sandbox.env.items() <= variables.items()
    assert all(line.startswith("export ") for line in env_lines(sandbox.url).splitlines())


def test_a_written_file_is_its_owners_alone_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_taken_port_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            serve(port=taken.getsockname()[1], env_file=tmp_path / "env", announce=print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_announces_serves_and_ends_when_told(tmp_path: Path, number: int) -> None:
    env_file = tmp_path / "env"
    with subprocess.Popen(
        [sys.executable, "-m", "ops.sandbox", "--port", "0", "--env-file", str(env_file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox listening on http://127.0.0.1:")
        assert "look-alike" in process.stdout.readline()
        url = line.split()[-1]
        assert env_file.read_text() == env_lines(url)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert not process.stderr.read()
    assert env_file.exists()
