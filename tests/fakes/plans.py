"""Small plans, by hand: what a format would lower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.expressions.nodes import (
    Compare,
    Constant,
    Input,
    Node,
    Object,
    Output,
    ResponseBody,
    walk,
)
from orchestrator.journal.port import NewRun
from orchestrator.plan import codec
from orchestrator.plan.model import (
    Action,
    Body,
    Choice,
    End,
    Goto,
    HttpCall,
    InputSchema,
    Plan,
    Retry,
    Route,
    Step,
    referenced_inputs,
)

STRIPE = "https://api.stripe.com"
TWILIO = "https://api.twilio.com"
TEXTS = "/2010-04-01/Accounts/AC1/Messages.json"
#: Visits of a step that a way of these plans allows unless it says otherwise.
CAP = 20


def goto(step: str, cap: int = CAP) -> Goto:
    return Goto(step=step, cap=cap)


def one_of(*actions: Action | str) -> Choice:
    """One choice of many routes, as Arazzo's actions are."""
    return Choice(routes=tuple(Route(then=_action(action)) for action in actions))


def fork(*actions: Action | str) -> tuple[Choice, ...]:
    """Many choices of one route, as OSOP's edges are."""
    return tuple(one_of(action) for action in actions)


def to(*steps: str) -> tuple[Choice, ...]:
    return fork(*steps)


def again(limit: int, after_ms: int = 1_000) -> Retry:
    return Retry(after_ms=after_ms, limit=limit)


def end() -> End:
    return End()


def _action(action: Action | str) -> Action:
    return goto(action) if isinstance(action, str) else action


def step(
    name: str,
    success: Sequence[Choice] = (),
    failure: Sequence[Choice] = (),
    awaits: Iterable[str] = (),
    *,
    call: HttpCall | None = None,
    outputs: Iterable[tuple[str, Node]] = (),
    criteria: Iterable[Node] = (),
    timeout_ms: int = 0,
) -> Step:
    path = (Constant(f"/{name}"),)
    return Step(
        id=name,
        call=call
        or HttpCall(provider="generic", method="GET", server="https://api.test", path=path),
        success=tuple(success),
        failure=tuple(failure),
        awaits=tuple(awaits),
        outputs=tuple(outputs),
        criteria=tuple(criteria),
        timeout_ms=timeout_ms,
    )


def plan(*steps: Step, starts: Iterable[str] = (), name: str = "test-flow") -> Plan:
    return Plan(
        name=name,
        steps=steps,
        starts=tuple(starts) or (steps[0].id,),
        inputs=InputSchema(referenced=referenced_inputs(steps)),
    )


def linear(*names: str) -> Plan:
    """Each step leads to the next; the last to the end."""
    rest = [*names[1:], ""]
    rows = zip(names, rest, strict=True)
    return plan(*(step(name, to(target) if target else ()) for name, target in rows))


def new_run(
    flow: Plan,
    run: str = "run-1",
    *,
    inputs: dict[str, object] | None = None,
    key: tuple[str, str] | None = None,
    lane: str = "default",
    deadline: int = 0,
    within: int = 0,
    accounts: str = "",
) -> NewRun:
    """As ``service.submit`` makes it."""
    data = codec.encode(flow)
    return NewRun(
        run=run,
        plan=data,
        digest=codec.digest(data),
        name=flow.name,
        lane=lane,
        starts=flow.starts,
        reads={s.id: reads_of(s) for s in flow.steps},
        inputs=inputs or {},  # type: ignore[arg-type]
        key=key,
        deadline=deadline,
        within=within,
        accounts=accounts,
    )


def reads_of(found: Step) -> list[str]:
    needs_inputs = any(isinstance(part, Input) for node in found.nodes() for part in walk(node))
    return (["inputs"] if needs_inputs else []) + [f"o:{other}" for other in found.reads()]


# What people use durazzo for: a charge at Stripe, a text through Twilio.


def charge(name: str, success: Sequence[Choice] = (), failure: Sequence[Choice] = ()) -> Step:
    """Takes money; the ledger knows it by its ``reference``."""
    form = Object((
        ("amount", Input("amount")),
        ("currency", Constant("usd")),
        ("metadata", Object((("reference", Input("order")), ("step", Constant(name))))),
    ))
    call = HttpCall(
        provider="stripe", method="POST", server=STRIPE, path=(Constant("/v1/payment_intents"),),
        body=Body(
            encoding="form-brackets", content_type="application/x-www-form-urlencoded", value=form
        ),
    )  # fmt: skip
    paid = Compare("==", ResponseBody("/status"), Constant("succeeded"))
    outputs = (("id", ResponseBody("/id")),)
    return step(name, success, failure, call=call, outputs=outputs, criteria=(paid,))


def text(
    name: str,
    success: Sequence[Choice] = (),
    failure: Sequence[Choice] = (),
    awaits: Iterable[str] = (),
    of: str = "",
) -> Step:
    """Sends a text; ``of``: the charge whose id it carries."""
    words: Node = Output(of, "id") if of else Constant("declined")
    form = Object((("To", Input("order")), ("From", Constant(name)), ("Body", words)))
    call = HttpCall(
        provider="twilio", method="POST", server=TWILIO, path=(Constant(TEXTS),),
        body=Body(
            encoding="form-repeat", content_type="application/x-www-form-urlencoded", value=form
        ),
    )  # fmt: skip
    return step(name, success, failure, awaits, call=call, outputs=(("sid", ResponseBody("/sid")),))


def charge_and_text() -> Plan:
    return plan(charge("charge", to("text")), text("text", of="charge"), name="charge-and-text")


def fallback_loop(cap: int = 3) -> Plan:
    """A declined charge goes round by a text, at most ``cap`` times, as seed 002 does."""
    return plan(
        charge("charge", to("receipt"), (one_of(goto("remind", cap)),)),
        text("remind", (one_of(goto("charge", cap)),)),
        text("receipt", of="charge"),
        name="fallback-loop",
    )


def fork_and_join() -> Plan:
    """Two charges side by side, one of which may fall back to a text; a receipt joins them."""
    return plan(
        charge("first", to("receipt")),
        charge("second", to("receipt"), to("sorry")),
        text("sorry", to("receipt")),
        text("receipt", awaits=("first", "second", "sorry")),
        starts=("first", "second"),
        name="fork-and-join",
    )


def retry_action() -> Plan:
    """The document's own retry twice, then a text instead."""
    return plan(
        charge("charge", to("receipt"), (one_of(again(2), "sorry"),)),
        text("sorry"),
        text("receipt", of="charge"),
        name="retry-action",
    )


def timed() -> Plan:
    """A charge that has three seconds, and a text instead; a text that has two, for a receipt."""
    return plan(
        replace(charge("charge", to("receipt"), to("sorry")), timeout_ms=3_000),
        text("sorry"),
        replace(text("receipt", of="charge"), timeout_ms=2_000),
        name="timed",
    )
