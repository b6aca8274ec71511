"""Any plan, any outcomes, any order: the engine comes to an end, and order decides nothing.

``Bench`` checks each event by itself: the fold is the state, a decision is the same when it is
made twice, its fields are what changed, and upon it nothing is left to decide.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.state import ACTIVE, Phase, Result, Status
from orchestrator.plan.model import Choice, Goto, Plan, Retry, Route
from tests.fakes import plans
from tests.fakes.bench import Bench


@st.composite
def acyclic(draw: st.DrawFn) -> tuple[Plan, dict[str, str]]:
    """A plan without loops whose meeting ways are all joins, and which routes hold in it."""
    size = draw(st.integers(2, 7))
    names = [f"s{n}" for n in range(size)]
    choices: dict[str, list[list[str]]] = {name: [] for name in names}
    sources: dict[str, set[str]] = {name: set() for name in names}
    for place, name in enumerate(names[:-1]):
        for _ in range(draw(st.integers(0, 3))):
            routes = draw(st.lists(st.sampled_from(names[place + 1 :]), min_size=1, max_size=2))
            choices[name].append(routes)
            for target in routes:
                sources[target].add(name)
    matched = {
        name: ";".join(
            ",".join(str(i) for i in range(len(routes)) if draw(st.booleans()))
            for routes in choices[name]
        )
        for name in names
    }
    steps = [
        plans.step(
            name,
            [Choice(routes=tuple(Route(then=plans.goto(t)) for t in r)) for r in choices[name]],
            awaits=sorted(sources[name]) if len(sources[name]) > 1 else (),
        )
        for name in names
    ]
    starts = [name for name in names if not sources[name]]
    return plans.plan(*steps, starts=starts), matched


def reached(flow: Plan, matched: dict[str, str]) -> set[str]:
    """What runs, read off the plan: a step runs when some way to it is taken."""
    found = set(flow.starts)
    for step in flow.steps:
        if step.id not in found:
            continue
        for choice, row in zip(step.success, matched[step.id].split(";"), strict=False):
            held = [int(i) for i in row.split(",") if i]
            if held:
                then = choice.routes[held[0]].then
                found.add(then.step)  # type: ignore[union-attr]
    return found


@given(acyclic(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_in_which_branches_run_decides_nothing(
    case: tuple[Plan, dict[str, str]], chance: object, together: bool
) -> None:
    flow, matched = case
    bench = Bench(flow)
    entered: list[str] = list(flow.starts)
    while bench.ready:
        # Some of what is ready settles before anybody decides.
        order = sorted(bench.ready)
        chance.shuffle(order)  # type: ignore[attr-defined]
        for name in order if together else order[:1]:
            _before(bench, name)
            bench.claim(name)
            bench.begin(name)
            bench.land(name, matched=matched[name])
        decision = bench.decide()
        assert decision is not None
        entered += [step for step, _ in decision.entered]
    assert bench.status() is Status.SUCCEEDED
    assert set(entered) == reached(flow, matched)
    assert len(entered) == len(set(entered)), "no step twice"


def _before(bench: Bench, name: str) -> None:
    """A join runs after everything that leads to it, and had a chance of being run."""
    for other in bench.ready - {name}:
        assert not bench.graph.leads(other, {name}, around=""), f"{name} before {other}"


@st.composite
def any_plan(draw: st.DrawFn) -> Plan:
    """Loops, retries, ends and joins wherever they fall."""
    size = draw(st.integers(1, 5))
    names = [f"s{n}" for n in range(size)]
    caps = st.integers(1, 3)
    actions = st.one_of(
        st.builds(plans.goto, st.sampled_from(names), caps),
        st.builds(plans.goto, st.sampled_from(names), caps),
        st.builds(plans.again, st.integers(0, 2), st.just(1_000)),
        st.builds(plans.end),
    )
    routes = st.lists(st.builds(Route, then=actions), min_size=1, max_size=2).map(tuple)
    choices = st.lists(st.builds(Choice, routes=routes), max_size=2)
    steps = [
        plans.step(
            name,
            [c for c in draw(choices) if not _retries(c)],
            draw(choices),
            awaits=draw(st.lists(st.sampled_from(names), max_size=2, unique=True)),
        )
        for name in names
    ]
    starts = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return plans.plan(*steps, starts=starts)


def _retries(choice: Choice) -> bool:
    return any(isinstance(route.then, Retry) for route in choice.routes)


RESULTS = st.sampled_from([
    *[Result.SUCCEEDED] * 4, *[Result.FINAL] * 3, Result.TRANSIENT, Result.UNKNOWN,
    Result.OPERATOR, Result.WITHDRAWN, Result.PENDING,
])  # fmt: skip
MOVES = st.tuples(
    st.sampled_from(["drive"] * 8 + ["claim", "begin", "land", "control", "decide"]),
    st.integers(0, 9),
    RESULTS,
    st.sampled_from([-1, -1, 0, 500]),
    st.sampled_from(["0", "0,1", "1", ";0", "0;0", "", "0,1;0,1"]),
)


@given(any_plan(), st.lists(MOVES, max_size=25), st.sampled_from([0, 0, 15, 60]))
def test_whatever_happens_the_run_can_be_brought_to_its_end(
    flow: Plan, moves: list[tuple[str, int, Result, int, str]], within: int
) -> None:
    bench = Bench(flow, within=within)
    for move in moves:
        _make(bench, *move)
        _holds(bench, flow)
    if bench.state.paused and not bench.state.end:
        bench.control("resume")
    for _ in range(200):
        active = sorted(s for s, v in bench.state.visits.items() if v.phase in ACTIVE)
        if not active:
            break
        for name in active:
            _finish(bench, name)
        bench.decide()
        _holds(bench, flow)
    stuck = {s: v.phase for s, v in bench.state.visits.items() if v.phase in ACTIVE}
    assert not stuck
    in_doubt = any(v.phase is Phase.UNKNOWN for v in bench.state.visits.values())
    assert bool(bench.state.end) is not in_doubt
    assert bench.status() is (Status.UNKNOWN if in_doubt else Status(bench.state.end))


def _make(  # noqa: PLR0917  one drawn move
    bench: Bench, what: str, index: int, result: Result, delay: int, matched: str
) -> None:
    bench.now += 1
    active = sorted(s for s, v in bench.state.visits.items() if v.phase in ACTIVE)
    name = active[index % len(active)] if active else ""
    if what == "control":
        if not bench.state.end:
            bench.control(["cancel", "pause", "resume", "resume"][index % 4])
        return
    if what == "decide" or not active:
        bench.decide()
        return
    phase = bench.phase(name)
    matched = _possible(bench, name, result, matched)
    if what == "claim" and phase is not Phase.SETTLED:
        bench.claim(name)
    elif what == "begin" and phase is Phase.HELD:
        bench.begin(name)
    elif what == "land" and phase in {Phase.HELD, Phase.CALLING}:
        bench.land(name, result, matched=matched, delay=delay)
    elif what == "drive" and phase is not Phase.SETTLED:
        bench.run(name, result, matched=matched, delay=delay)


def _possible(bench: Bench, name: str, result: Result, matched: str) -> str:
    """Only routes that the step has."""
    step = bench.graph.steps[name]
    choices = {Result.SUCCEEDED: step.success, Result.FINAL: step.failure}.get(result, ())
    rows = zip(choices, matched.split(";"), strict=False)
    return ";".join(
        ",".join(i for i in row.split(",") if i and int(i) < len(choice.routes))
        for choice, row in rows
    )


def _finish(bench: Bench, name: str) -> None:
    phase = bench.phase(name)
    if phase in {Phase.READY, Phase.WAITING, Phase.HELD, Phase.CALLING}:
        bench.claim(name)
        bench.begin(name)
        bench.land(name, Result.FINAL)


def _holds(bench: Bench, flow: Plan) -> None:
    state = bench.state
    for name, visit in state.visits.items():
        assert visit.phase is not Phase.SUCCEEDED or visit.result == Result.SUCCEEDED
        failed = {Result.FINAL, Result.TRANSIENT}
        assert visit.phase is not Phase.FAILED or visit.result in failed
        assert visit.phase is not Phase.UNKNOWN or visit.doubt
        assert visit.number <= _most_visits(flow, name)
    if state.end:
        assert not any(v.phase in ACTIVE | {Phase.UNKNOWN} for v in state.visits.values())


def _most_visits(flow: Plan, name: str) -> int:
    """No way leads beyond its cap, and each retry route has its own limit a visit by a way."""
    actions = [
        (step.id, route.then)
        for step in flow.steps
        for choice in (*step.success, *step.failure)
        for route in choice.routes
    ]
    cap = max([1, *(a.cap for _, a in actions if isinstance(a, Goto) and a.step == name)])
    retries = sum(a.limit for own, a in actions if isinstance(a, Retry) and own == name)
    return cap + retries * (cap + 1)
