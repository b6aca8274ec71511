"""Flower behind one door: no page of it, of this release or a later one, is open by omission."""

from __future__ import annotations

from typing import Any, Final

from flower.app import Flower
from flower.inspector import Inspector
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

from ops.flower.login import Login
from ops.flower.pages import Dressed, handlers
from ops.flower.views import Views

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


class Nameless(OutputTransform):
    """What answers, and in which version, is nobody's business."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        headers.pop("Server", None)
        return super().transform_first_chunk(status_code, headers, chunk, finishing)


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
    def __init__(self, *, login: Login, views: Views, options: Any, **flower: Any) -> None:
        dress = Dressed(flower["template_path"])
        super().__init__(options=options, template_loader=dress, **flower)
        # In front of Flower's own, the last of which takes every path.
        self.add_handlers(r".*", handlers(views))
        self.add_transform(Nameless)
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
