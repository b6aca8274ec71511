from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import NewerRelease, RenderFailed
from orchestrator.expressions.evaluate import Context
from orchestrator.expressions.nodes import (
    Array,
    Constant,
    Input,
    Json,
    Node,
    Object,
    Output,
    Secret,
    Text,
)
from orchestrator.plan.model import Body, Encoding, HttpCall
from orchestrator.policy.profiles import Profile, parse
from workers.render import MAX_BODY, MAX_HEAD, FrozenRequest, render

SPECS = Path(__file__).parents[3] / "specs" / "providers"


def profile(name: str) -> Profile:
    return parse(yaml.safe_load((SPECS / f"{name}.yaml").read_text()))


STRIPE, TWILIO, GENERIC = profile("stripe"), profile("twilio"), profile("generic")

CONTEXT = Context(
    inputs={
        "amount": 2000,
        "phone": "+15005550006",
        "nothing": None,
        "sid": "AC1/..",
        "empty": "",
        "dots": "..",
        "evil": "a\r\nX-Evil: 1",
        "money": 2000.0,
        "key": "order-7",
    },
    outputs={"charge": {"id": "pi_1"}},
)


def call(
    path: tuple[Node, ...] = (Constant("/v1/payment_intents"),),
    *,
    body: Node | None = None,
    encoding: Encoding = "form-brackets",
    method: str = "POST",
    headers: tuple[tuple[str, Node], ...] = (),
    query: tuple[tuple[str, Node], ...] = (),
) -> HttpCall:
    kind = "application/json" if encoding == "json" else "application/x-www-form-urlencoded"
    return HttpCall(
        provider="stripe",
        method=method,
        server="https://api.example.com",
        path=path,
        query=query,
        headers=headers,
        body=None if body is None else Body(encoding=encoding, content_type=kind, value=body),
    )


def rendered(made: HttpCall, known: Profile = GENERIC) -> FrozenRequest:
    return render(made, CONTEXT, profile=known, key="dz_1")


def refused(made: HttpCall, known: Profile = GENERIC) -> str:
    with pytest.raises(RenderFailed) as caught:
        rendered(made, known)
    return caught.value.message


def test_seed_000s_charge_goes_out_as_stripe_wants_it() -> None:
    body = Object((
        ("amount", Input("amount")),
        ("currency", Constant("usd")),
        ("confirm", Constant(value=True)),
        ("customer", Input("nothing")),
    ))
    request = rendered(call(body=body), STRIPE)
    assert request == FrozenRequest(
        method="POST",
        url="https://api.example.com/v1/payment_intents",
        headers=(
            ("Content-Type", ("application/x-www-form-urlencoded",)),
            ("Idempotency-Key", ("dz_1",)),
        ),
        body=b"amount=2000&currency=usd&confirm=true",
        key="dz_1",
        provider="stripe",
    )


def test_seed_000s_text_escapes_the_plus_and_carries_no_key() -> None:
    path = (Constant("/Accounts/"), Output("charge", "id"), Constant("/Messages.json"))
    body = Object((("To", Input("phone")),))
    request = rendered(call(path, body=body, encoding="form-repeat"), TWILIO)
    assert request.url == "https://api.example.com/Accounts/pi_1/Messages.json"
    assert request.body == b"To=%2B15005550006"
    assert request.key is None


def test_a_read_carries_no_key() -> None:
    request = rendered(call(method="get"), STRIPE)
    assert (request.method, request.key, request.headers, request.body) == ("GET", None, (), None)


def test_the_same_run_renders_the_same_bytes() -> None:
    made = call(body=Object((("a", Input("amount")), ("b", Input("phone")))), encoding="json")
    assert rendered(made).dump() == rendered(made).dump()


def test_json_keeps_null_and_empty_objects_in_the_documents_order() -> None:
    body = Object((
        ("meta", Object(())),
        ("none", Input("nothing")),
        ("list", Array((Input("amount"), Constant(value=False)))),
    ))
    assert rendered(call(body=body, encoding="json")).body == (
        b'{"meta":{},"none":null,"list":[2000,false]}'
    )


def test_a_text_body_is_its_text() -> None:
    body = Text((Constant("id: "), Output("charge", "id")))
    assert rendered(call(body=body, encoding="text")).body == b"id: pi_1"


def test_a_number_that_is_whole_goes_into_a_form_without_its_point() -> None:
    assert rendered(call(body=Object((("amount", Input("money")),)))).body == b"amount=2000"


@pytest.mark.parametrize("encoding", ["json", "form-brackets", "form-repeat"])
def test_a_field_without_a_value_is_named_and_nothing_is_sent(encoding: Encoding) -> None:
    items = Array((Object((("price", Input("gone")),)),))
    message = refused(call(body=Object((("items", items),)), encoding=encoding))
    assert "/items/0/price" in message
    assert "$inputs.gone" in message


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (call((Constant("/v1/"), Input("gone"))), "$inputs.gone"),
        (call(query=(("limit", Output("charge", "gone")),)), "'limit'"),
        (call(headers=(("X-A", Input("gone")),)), "'X-A'"),
        (call(body=Input("gone")), "the body"),
        (call(body=Object((("Body", Text((Constant("Hi "), Input("gone")))),))), "/Body"),
    ],
)
def test_whatever_has_no_value_is_named(made: HttpCall, named: str) -> None:
    assert named in refused(made)


def test_a_path_value_is_escaped_with_its_slashes() -> None:
    request = rendered(call((Constant("/Accounts/"), Input("sid"), Constant("/M.json"))))
    assert request.url == "https://api.example.com/Accounts/AC1%2F../M.json"


@pytest.mark.parametrize("name", ["empty", "dots", "nothing"])
def test_a_path_value_that_names_another_resource_is_refused(name: str) -> None:
    message = refused(call((Constant("/Accounts/"), Input(name), Constant("/Messages.json"))))
    assert f"$inputs.{name}" in message


def test_a_path_does_not_climb_even_in_pieces() -> None:
    context = Context(inputs={"name": "x"}, outputs={})
    made = call((Constant("/a/."), Constant("."), Constant("/b"), Input("name")))
    with pytest.raises(RenderFailed):
        render(made, context, profile=GENERIC, key="dz_1")


def test_a_path_joins_its_server_with_one_slash() -> None:
    made = replace(call((Constant("v1/x"),)), server="https://api.example.com/")
    assert rendered(made).url == "https://api.example.com/v1/x"


def test_a_query_leaves_null_out_escapes_and_repeats() -> None:
    query: tuple[tuple[str, Node], ...] = (
        ("To", Input("phone")),
        ("none", Input("nothing")),
        ("id", Array((Constant(1), Constant(2)))),
    )
    request = rendered(call(query=query))
    assert request.url.endswith("/v1/payment_intents?To=%2B15005550006&id=1&id=2")


def test_a_query_that_a_document_wrote_into_its_path_is_carried_on() -> None:
    request = rendered(call((Constant("/search?q=a"),), query=(("limit", Constant(1)),)))
    assert request.url == "https://api.example.com/search?q=a&limit=1"


def test_no_value_begins_another_header_and_the_message_does_not_hold_it() -> None:
    message = refused(call(headers=(("X-Name", Input("evil")),)))
    assert "'X-Name'" in message
    assert "Evil" not in message


def test_a_header_whose_value_is_null_is_left_out() -> None:
    assert rendered(call(headers=(("X-Name", Input("nothing")),))).headers == ()


def test_a_secret_stays_a_name() -> None:
    bearer = Text((Constant("Bearer "), Secret("STRIPE_SECRET_KEY"), Constant(":")))
    request = rendered(call(headers=(("Authorization", bearer), ("X-Key", Secret("OTHER")))))
    assert request.header("authorization") == ("Bearer ", Secret("STRIPE_SECRET_KEY"), ":")
    assert request.header("x-key") == (Secret("OTHER"),)
    assert request.header("gone") is None


@pytest.mark.parametrize(
    "made",
    [
        call(body=Object((("key", Secret("KEY")),))),
        call(body=Object((("key", Text((Constant("a"), Secret("KEY")))),))),
        call(query=(("key", Secret("KEY")),)),
        call((Constant("/"), Secret("KEY"))),
        call(body=Secret("KEY")),
    ],
)
def test_a_secret_stands_in_a_header_or_nowhere(made: HttpCall) -> None:
    assert "header only" in refused(made)


def test_a_header_of_the_document_goes_before_durazzos() -> None:
    headers: tuple[tuple[str, Node], ...] = (
        ("content-type", Constant("application/vnd.api+json")),
        ("ANTHROPIC-VERSION", Constant("2026-10-21")),
    )
    made = call(headers=headers, body=Object(()), encoding="json")
    assert rendered(made, profile("anthropic")).headers == (
        ("content-type", ("application/vnd.api+json",)),
        ("ANTHROPIC-VERSION", ("2026-10-21",)),
    )


def test_a_key_of_the_documents_own_is_the_key() -> None:
    request = rendered(call(headers=(("idempotency-key", Input("key")),)), STRIPE)
    assert request.key == "order-7"
    assert request.headers == (("idempotency-key", ("order-7",)),)


def test_an_empty_key_protects_nobody_and_is_refused() -> None:
    assert "'Idempotency-Key'" in refused(
        call(headers=(("Idempotency-Key", Input("empty")),)), STRIPE
    )


def test_what_belongs_to_the_transport_is_not_the_documents() -> None:
    headers = tuple((name, Constant("1")) for name in ("Host", "Content-Length", "Accept-Encoding"))
    assert rendered(call(headers=headers)).headers == ()


def test_a_form_is_made_of_fields() -> None:
    assert "fields" in refused(call(body=Array(())))


def test_a_body_beyond_a_mebibyte_is_refused() -> None:
    fits = Object((("a", Constant("x" * (MAX_BODY - 2))),))
    over = Object((("a", Constant("x" * (MAX_BODY - 1))),))
    assert rendered(call(body=fits)).body is not None
    assert str(MAX_BODY) in refused(call(body=over))


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
def test_what_no_encoding_can_say_is_refused(value: float | str) -> None:
    encodings: tuple[Encoding, ...] = ("json", "form-brackets", "form-repeat")
    for encoding in encodings:
        assert "body" in refused(call(body=Object((("a", Constant(value)),)), encoding=encoding))


PARTS = st.lists(st.text() | st.builds(Secret, st.text(min_size=1)), max_size=3).map(tuple)


@given(
    headers=st.lists(st.tuples(st.text(), PARTS), max_size=3).map(tuple),
    body=st.none() | st.binary(),
    key=st.none() | st.text(),
)
def test_a_frozen_request_thaws_as_it_was(
    headers: tuple[tuple[str, tuple[str | Secret, ...]], ...], body: bytes | None, key: str | None
) -> None:
    request = FrozenRequest(
        method="POST", url="https://x/y", headers=headers, body=body, key=key, provider="stripe"
    )
    assert FrozenRequest.load(request.dump()) == request


def test_a_request_frozen_by_another_version_is_not_guessed_at() -> None:
    with pytest.raises(NewerRelease, match="version 2"):
        FrozenRequest.load(b'{"v":2}')


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_path_is_rendered_or_refused_and_never_breaks(value: Json) -> None:
    context = Context(inputs={"x": value}, outputs={})
    try:
        request = render(
            call((Constant("/a/"), Input("x"), Constant("/b"))),
            context,
            profile=GENERIC,
            key="dz_1",
        )
    except RenderFailed:
        return
    assert request.url.count("/") == 5


@pytest.mark.parametrize("place", ["headers", "query"])
def test_an_address_and_headers_that_no_server_takes_are_refused(place: str) -> None:
    """One long value in many places is as much as many long ones."""
    value = Constant("x" * (MAX_HEAD // 64))
    named = tuple((f"X-{n}", value) for n in range(65))
    most, more = (call(headers=h) if place == "headers" else call(query=h)
                  for h in (named[:60], named))  # fmt: skip
    assert rendered(most).method == "POST"
    message = refused(more)
    assert f"{MAX_HEAD} are the most" in message
    assert "xxx" not in message
