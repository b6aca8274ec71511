"""Flower behind one door: no page of it, of this release or a later one, is open by omission."""

from __future__ import annotations

from typing import Any, Final

from flower.app import Flower
from flower.inspector import Inspector
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from ops.flower.login import Login

#: It says "OK", for whoever supervises the process.
OPEN: Final = "/healthcheck"
#: Prometheus would read them without a login, and they name workers and workflows.
CLOSED: Final = "/metrics"


class Refusal(RequestHandler):
    def initialize(self, status: int) -> None:
        self._status = status

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here that another site could bring about."""

    def prepare(self) -> None:
        self.set_status(self._status)
        if self._status == 401:  # noqa: PLR2004  it asks for the login
            self.set_header("WWW-Authenticate", 'Basic realm="durazzo"')
        self.finish()


class DiscreetInspector(Inspector):  # type: ignore[misc]  # it has no types
    """What workers answer, without where their Redis is: of a Unix socket's that is the URL as it
    was given, with its password.
    """

    def _on_update(self, worker: str, method: str, answer: Any) -> None:
        if method == "stats":
            said = answer.get("consumer") or answer
            # Its page wants some.
            said["broker"] = {"transport": said.get("broker", {}).get("transport", "")}
        super()._on_update(worker, method, answer)


class GuardedFlower(Flower):  # type: ignore[misc]  # it has no types
    def __init__(self, *, login: Login, options: Any, **flower: Any) -> None:
        super().__init__(options=options, **flower)
        self._login = login
        self.inspector = DiscreetInspector(self.io_loop, self.capp, options.inspect_timeout / 1_000)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if request.path != OPEN and not self._admits(request):
            return self._refused(request, 401 if self._login.pairs else 403)
        if request.path == CLOSED:
            return self._refused(request, 404)
        return super().find_handler(request, **kwargs)

    def _admits(self, request: HTTPServerRequest) -> bool:
        return self._login.admits(request.headers.get("Authorization", ""), request.host_name)

    def _refused(self, request: HTTPServerRequest, status: int) -> Any:
        return self.get_handler_delegate(request, Refusal, {"status": status})
