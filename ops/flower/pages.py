"""Pages of runs on Flower's server, in its dress, and the ways to them from its own pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flower.views import BaseHandler
from flower.views.tasks import TasksDataTable
from tornado.template import BaseLoader, Template
from tornado.web import StaticFileHandler, url

from ops.flower.asking import Asking
from ops.flower.views import Views
from orchestrator.errors import DurazzoError, NewerRelease, UnknownRun

_HERE: Final = Path(__file__).parent
#: Nothing but Flower's own scripts and styles, and nobody shows it in a frame.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC: Final = str(_HERE / "static")
_WORD: Final = re.compile(r'[^\s()"]+')


class Page(BaseHandler):  # type: ignore[misc]  # it has no types
    def initialize(self, views: Views, asking: Asking) -> None:
        self._views = views
        self._asking = asking

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    async def show(self, template: str, look: Callable[[], object]) -> None:
        """The page of what ``look`` finds, or a page that says why there is none."""
        try:
            found = await self._asking.ask(look)
        except UnknownRun as error:
            self._tell(HTTPStatus.NOT_FOUND, error)
        except NewerRelease as error:
            self._tell(HTTPStatus.CONFLICT, error)
        except DurazzoError as error:
            self._tell(HTTPStatus.SERVICE_UNAVAILABLE, error)
        else:
            self.render(template, view=found)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Flower's own page of a bug shows where in the program it is."""
        if status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            super().write_error(status_code, **kwargs)
            return
        self.set_status(status_code)
        said = "this page could not be made, which is a bug; durazzo show and runs tell the same"
        self.render("told.html", code="bug", message=said)

    def _tell(self, status: HTTPStatus, error: DurazzoError) -> None:
        self.set_status(status)
        self.render("told.html", code=error.code, message=error.message)


class RunPage(Page):
    async def get(self, run: str) -> None:
        await self.show("run.html", lambda: self._views.run(run))


class RunsPage(Page):
    async def get(self) -> None:
        await self.show("runs.html", self._views.runs)


class RunTasks(TasksDataTable):  # type: ignore[misc]  # it has no types
    """Flower's own, in which a run's id finds that run's tasks alone."""

    def get_argument(self, name: str, *rest: Any, **named: Any) -> Any:
        found = super().get_argument(name, *rest, **named)
        return exact(found, self._runs()) if name == "search[value]" and found else found

    def _runs(self) -> set[str]:
        tasks = self.application.events.state.tasks
        return {task.partition(".")[0].casefold() for task in list(tasks)}


def exact(search: str, runs: Collection[str]) -> str:
    """A search whose words that are a run's id mean no other run.

    Flower looks for parts of words, and batch-1 is a part of batch-12. A run's id stands among its
    tasks' arguments, in quotes.
    """
    if '"' in search:
        return search
    return _WORD.sub(lambda w: f"args:'{w[0]}'" if w[0].casefold() in runs else w[0], search)


class Dressed(BaseLoader):
    """Our templates, and Flower's: a name that both have is ours, and ``flower/…`` Flower's."""

    def __init__(self, flower: str) -> None:
        super().__init__()
        self._flower = Path(flower)

    def _create_template(self, name: str) -> Template:
        own, theirs = _HERE / "templates" / name, self._flower / name.removeprefix("flower/")
        found = own if own.is_file() else theirs
        return Template(found.read_bytes(), name=name, loader=self)

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:  # noqa: ARG002
        """Both folders are flat, and no name comes from outside."""
        return name


def handlers(views: Views) -> list[Any]:
    given = {"views": views, "asking": Asking()}
    return [
        url(r"/run/([^/]{1,256})", RunPage, given),
        url(r"/runs", RunsPage, given),
        url(r"/tasks/datatable", RunTasks),
        url(r"/durazzo/(run-links\.js|pages\.css)", StaticFileHandler, {"path": _STATIC}),
    ]


__all__ = ["Dressed", "RunTasks", "exact", "handlers"]
