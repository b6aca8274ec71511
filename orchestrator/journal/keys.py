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
| ``due``                | zset   | run → when to look at it next, ms              | unfinished    |
| ``runs``               | zset   | run → when it was accepted, ms                 | with the run  |
| ``plan:<digest>``      | hash   | ``body`` sealed plan, ``r:<step>`` data fields | for good      |
|                        |        | that the step reads, space-separated           |               |
| ``key:<hmac>``         | hash   | run key: ``run``, ``at`` (accepted, ms),       | its own, from |
|                        |        | ``print`` (sealed digests of plan and inputs)  | its last use  |
| ``lane:<name>``        | hash   | newest send that was claimed, ms: ``fresh`` of | for good      |
|                        |        | runs' first messages, ``claimed`` of others    |               |
| ``limit:<scope>``      | hash   | ``tat``: theoretical arrival time, us (GCRA);  | for good      |
|                        |        | ``late``: of turns that were missed, us;       |               |
|                        |        | ``at``: when it was last written, us;          |               |
|                        |        | ``until``: provider paused before this, ms     |               |
| ``stops``              | hash   | provider → who stopped it, when, sealed why    | until it goes |
|                        |        | (JSON)                                         | on            |
| ``waiters:<provider>`` | zset   | "run visit step" that met a stop → ``until``   | as the stop   |
|                        |        | that its visit was given, ms                   |               |
| ``house``              | list   | the latest 1000 events that are no run's       | for good      |
| ``effect:<provider>:`` | string | the intent (run/step/visit) whose effect it    | 8 days        |
| ``<id>``               |        | is, where a search could take it for another's |               |
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
| ``pepper``             | string | sealed: keys the HMAC of run keys              | for good      |
| ``clock``              | string | tests only: ms added to Redis' time            |               |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
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

    def plan(self, digest: str) -> str:
        return self._key("plan", digest)

    def run_key(self, mac: str) -> str:
        return self._key("key", mac)

    def lane(self, lane: str) -> str:
        return self._key("lane", lane)

    def limit(self, scope: str) -> str:
        return self._key("limit", scope)

    def waiters(self, provider: str) -> str:
        return self._key("waiters", provider)

    def effect(self, effect: str) -> str:
        return self._key("effect", effect)

    @property
    def due(self) -> str:
        return self._key("due")

    @property
    def runs(self) -> str:
        return self._key("runs")

    @property
    def stops(self) -> str:
        return self._key("stops")

    @property
    def house(self) -> str:
        return self._key("house")

    @property
    def workers(self) -> str:
        return self._key("workers")

    @property
    def server(self) -> str:
        return self._key("server")

    @property
    def leader(self) -> str:
        return self._key("leader")

    @property
    def pepper(self) -> str:
        return self._key("pepper")

    @property
    def clock(self) -> str:
        return self._key("clock")
