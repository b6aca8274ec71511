"""Every key durazzo keeps in Redis: type, meaning, life.

All begin with ``{<prefix>}``: the braces keep a shard on one node, because a script
changes a run, the due-set and a limiter together. Sharding is by run: another prefix,
another node, other workers.

| key                    | type   | meaning                                        | life          |
|------------------------|--------|------------------------------------------------|---------------|
| ``run:<id>``           | hash   | control state (engine.state.State)             | with the run  |
| ``run:<id>:log``       | list   | events as JSON, oldest first                   | with the run  |
| ``run:<id>:data``      | hash   | sealed: ``inputs``, ``key`` (run key),         | with the run; |
|                        |        | ``o:<step>`` outputs, ``q:<step>`` request     | q: the visit  |
| ``done:<id>``          | string | all three of a run that is put away, in one    | until its     |
|                        |        | (compact.py); they are gone then               | time is over  |
| ``due``                | zset   | run → when to look at it next, ms              | unfinished    |
| ``ended``              | zset   | run that has ended → when it is put away, ms   | until it is   |
| ``kept``               | zset   | run that is put away → when it ended, ms       | with the run  |
| ``standing``           | zset   | the same of runs that did something and came   | with the run, |
|                        |        | to no good end                                 | three times   |
|                        |        |                                                | as long       |
| ``runs``               | zset   | run → when it was accepted, ms                 | with the run  |
| ``plan:<digest>``      | hash   | ``body`` sealed plan, ``r:<step>`` data fields | for good      |
|                        |        | that the step reads, space-separated           |               |
| ``key:<hmac>``         | hash   | run key: ``run``, ``at`` (accepted, ms),       | its own, from |
|                        |        | ``print`` (sealed: digests of plan and inputs, | its last use  |
|                        |        | the accounts that it names)                    |               |
| ``lane:<name>``        | hash   | newest send that was claimed, ms: ``fresh`` of | for good      |
|                        |        | runs' first messages, ``claimed`` of others;   |               |
|                        |        | ``bulk-…``: the same of batches                |               |
| ``limit:<scope>``      | hash   | ``gate``: theoretical arrival time of calls,   | for good      |
|                        |        | us (GCRA); ``urgent``, ``bulk``: of those that |               |
|                        |        | wait in line, us; ``back``: calls in a row     |               |
|                        |        | that were put back by urgent ones; ``at``:     |               |
|                        |        | when it was last written, us; ``factor`` of    |               |
|                        |        | the rate that the latest refusals have left,   |               |
|                        |        | ``cut``: when that was, ms, ``sent`` and       |               |
|                        |        | ``refused``: calls since then; ``until``:      |               |
|                        |        | provider paused before this, ms                |               |
| ``limit:<scope>:busy`` | zset   | run/step/visit whose call is under way → its   | as the calls  |
|                        |        | lease's end, ms; only with a ``concurrency``   |               |
| ``stops``              | hash   | provider → who stopped it, when, sealed why    | until it goes |
|                        |        | (JSON)                                         | on            |
| ``waiters:<provider>`` | zset   | "run visit step" that met a stop → ``until``   | as the stop   |
|                        |        | that its visit was given, ms                   |               |
| ``house``              | list   | the latest 1000 events that are no run's       | for good      |
| ``effect:<provider>:`` | string | the intent (run/step/visit) whose effect it    | 8 days        |
| ``<id>``               |        | is, where a search could take it for another's |               |
| ``doubt``              | zset   | run with a step that is unknown → since when,  | while it is   |
|                        |        | ms; it stays while that is looked up           |               |
| ``counts``             | hash   | what was counted since the journal was begun,  | for good      |
|                        |        | by the names of counts.py; no ids              |               |
| ``workers``            | zset   | worker incarnation → its heartbeat's end, ms   | a day         |
| ``server``             | hash   | ``begun``: calls without a key that were begun | for good      |
|                        |        | so far; ``life``: the server's run id;         |               |
|                        |        | ``kept``: ``begun`` when that life was first   |               |
|                        |        | seen, ``since``: when, ms, if it was a         |               |
|                        |        | restart; ``rewound``: when writes were last    |               |
|                        |        | found to be lost, ms; ``missing``: begins that |               |
|                        |        | were among them, at least                      |               |
| ``leader``             | string | the timekeeper that ticks                      | its lease     |
| ``leader:at``          | string | latest time that a tick has seen, ms           | for good      |
| ``batches``            | zset   | batch → when it was opened, ms                 | for good      |
| ``batches:active``     | set    | batches with rows that are not runs yet        | until they    |
|                        |        |                                                | are           |
| ``batch:<id>``         | hash   | ``plan``, ``name``, ``lane``, ``window``,      | for good      |
|                        |        | ``accounts`` where it names some,              |               |
|                        |        | ``total`` rows, ``next``: how many of them     |               |
|                        |        | became runs, ``at`` (ms), ``by``, ``size`` of  |               |
|                        |        | a block; ``print``, ``place``: of the rows;    |               |
|                        |        | ``over``: cancelled (ms); ``ratio``: failures  |               |
|                        |        | it may have; ``n:<end>``, ``c:<code>``,        |               |
|                        |        | ``s:<sum>``: what it counts of ended runs;     |               |
|                        |        | ``lost`` (ms), ``lost:to``: rows up to that    |               |
|                        |        | number may come again after Redis lost writes; |               |
|                        |        | ``base``, ``base:failed``: of them, when it    |               |
|                        |        | last went on                                   |               |
| ``batch:<id>:rows``    | hash   | block → rows, packed and sealed                | until they    |
|                        |        |                                                | are runs      |
| ``batch:<id>:index``   | hash   | block → numbers and keys of rows, likewise     | for good      |
| ``batch:<id>:open``    | set    | rows that have a place in the window           | as they have  |
| ``batch:<id>:parked``  | set    | rows whose run is in doubt                     | as they are   |
| ``batch:<id>:out``     | hash   | row → "end code sums", and sealed: its report  | for good      |
| ``batch:<id>:filling`` | string | somebody fills the window                      | a second      |
| ``upload:<id>:rows``,  | hash   | as of a batch that is not opened yet           | an hour from  |
| ``upload:<id>:index``  |        |                                                | the last put  |
| ``pepper``             | string | sealed: keys the HMAC of run keys              | for good      |
| ``clock``              | string | tests only: ms added to Redis' time            |               |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Keys:
    prefix: str = "durazzo"

    def _key(self, *parts: str) -> str:
        return f"{{{self.prefix}}}:" + ":".join(parts)

    def run(self, run: str) -> str:
        return self._key("run", run)

    def log(self, run: str) -> str:
        return self._key("run", run, "log")

    def data(self, run: str) -> str:
        return self._key("run", run, "data")

    def done(self, run: str) -> str:
        return self._key("done", run)

    def plan(self, digest: str) -> str:
        return self._key("plan", digest)

    def run_key(self, mac: str) -> str:
        return self._key("key", mac)

    def lane(self, lane: str) -> str:
        return self._key("lane", lane)

    def limit(self, scope: str) -> str:
        return self._key("limit", scope)

    def busy(self, scope: str) -> str:
        return self._key("limit", scope, "busy")

    def waiters(self, provider: str) -> str:
        return self._key("waiters", provider)

    def batch(self, batch: str, part: str = "") -> str:
        return self._key("batch", batch, part) if part else self._key("batch", batch)

    def upload(self, upload: str, part: str) -> str:
        return self._key("upload", upload, part)

    def effect(self, effect: str) -> str:
        return self._key("effect", effect)

    @cached_property
    def due(self) -> str:
        return self._key("due")

    @cached_property
    def ended(self) -> str:
        return self._key("ended")

    @cached_property
    def kept(self) -> str:
        return self._key("kept")

    @cached_property
    def standing(self) -> str:
        return self._key("standing")

    @cached_property
    def runs(self) -> str:
        return self._key("runs")

    @cached_property
    def stops(self) -> str:
        return self._key("stops")

    @cached_property
    def house(self) -> str:
        return self._key("house")

    @cached_property
    def doubt(self) -> str:
        return self._key("doubt")

    @cached_property
    def counts(self) -> str:
        return self._key("counts")

    @cached_property
    def workers(self) -> str:
        return self._key("workers")

    @cached_property
    def server(self) -> str:
        return self._key("server")

    @cached_property
    def leader(self) -> str:
        return self._key("leader")

    @cached_property
    def batches(self) -> str:
        return self._key("batches")

    @cached_property
    def active_batches(self) -> str:
        return self._key("batches", "active")

    @cached_property
    def pepper(self) -> str:
        return self._key("pepper")

    @cached_property
    def clock(self) -> str:
        return self._key("clock")
