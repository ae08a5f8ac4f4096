"""What must hold for every line that anybody can write, not only for those in the table."""

from typing import get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol.approval import Role
from protocol.bus import RunnerMode
from protocol.commands import Kubectl, ScopeLimit
from protocol.kubectl import GrammarError, WriteCall, describe_remediation, parse, paths, render
from protocol.kubectl.calls import (
    Call,
    DescribeCall,
    EventsCall,
    GetCall,
    LogsCall,
    NamedResource,
    ReadCall,
    ResourceType,
    RolloutStatusCall,
    TopCall,
)
from protocol.policy import Decided, PolicyContext, judge
from protocol.remediation import Remediation
from tests.unit.protocol import strategies as make

READS = get_args(get_args(ReadCall)[0])
ALL_POWER = PolicyContext(
    scope=ScopeLimit(),
    role=Role.ADMIN,
    mode=RunnerMode(writes=True, remediations=("scale", "delete_pod", "drain", "restart", "rollback", "set_env", "set_image")),
)
"""The widest context there is: whoever is refused here is refused everywhere."""


def _parsed(argv: list[str]) -> Call | None:
    try:
        return parse(argv)
    except GrammarError:
        return None


@settings(max_examples=600)
@given(
    before=st.lists(make.flags, max_size=2),
    verb=st.sampled_from(make.WRITE_VERBS).map(str.split),
    after=st.lists(make.soup, max_size=6),
)
def test_nothing_that_writes_is_ever_allowed(before: list[str], verb: list[str], after: list[str]) -> None:
    # A flag before the verb may swallow the verb as its value; then the words behind it are the verb, and it is no write.
    call = _parsed(["kubectl", *before, *verb, *after])
    if call is None:
        return
    verdict = judge(call, ALL_POWER)
    if verdict.decision is Decided.ALLOW:
        assert before
        assert before[-1] in ("-n", "--namespace")
        assert isinstance(call, READS)
        assert getattr(call, "namespace", None) == verb[0]
    else:
        assert isinstance(call, WriteCall) or verdict.decision is Decided.DENY


@settings(max_examples=600)
@given(st.lists(make.soup, max_size=3), make.verbs, st.lists(make.soup, max_size=6))
def test_what_is_allowed_is_a_read_and_says_so(before: list[str], verb: list[str], after: list[str]) -> None:
    call = _parsed([*before, *verb, *after])
    if call is None:
        return
    verdict = judge(call, ALL_POWER)
    if verdict.decision is Decided.ALLOW:
        assert isinstance(call, READS)
        assert render(call).removeprefix("kubectl ").startswith(make.READ_VERBS)
        assert judge(Kubectl.model_validate({"call": call}), ALL_POWER) == verdict
    if isinstance(call, WriteCall):
        assert verdict.decision is not Decided.ALLOW


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_any_text_is_a_call_or_a_refusal_with_words(line: str) -> None:
    words = "a call"
    try:
        call = parse(line)
    except GrammarError as refusal:
        words = str(refusal)
    else:
        assert parse(render(call)).verb == call.verb
    assert words


@settings(max_examples=300)
@given(make.read_calls)
def test_a_read_and_its_line_are_the_same(call: Call) -> None:
    assert parse(render(call)) == call


@settings(max_examples=200)
@given(make.spoken_remediations)
def test_a_change_and_its_line_are_the_same(action: Remediation) -> None:
    call = parse(describe_remediation(action))
    assert isinstance(call, WriteCall)
    assert call.remediation == action
    assert not call.dry_run
    assert parse(render(call)) == call.model_copy(update={"line": render(call)})


def _segments(path: str) -> list[str]:
    """A path as a server takes it apart; it has no query and no fragment of its own."""
    parts = urlsplit(f"https://kubernetes{path}")
    assert (parts.netloc, parts.query, parts.fragment) == ("kubernetes", "", "")
    assert ".." not in parts.path.split("/")
    return [unquote(segment) for segment in parts.path.split("/")]


def _expected(kind: ResourceType, namespace: str | None, *rest: str) -> list[str]:
    base = ["", "apis", kind.group] if kind.group else ["", "api"]
    place = ["namespaces", namespace] if namespace is not None and kind.namespaced else []
    return [*base, paths.api_version(kind), *place, kind.plural, *rest]


PODS = ResourceType(plural="pods", kind="Pod")


@settings(max_examples=400)
@given(make.types, make.hostile, make.hostile)
def test_no_name_or_namespace_changes_a_path(kind: ResourceType, namespace: str, name: str) -> None:
    if not kind.known and not kind.version:
        return
    try:
        collection = paths.list_path(kind, namespace)
    except ValueError:
        return
    assert _segments(collection) == _expected(kind, namespace)
    try:
        one = paths.object_path(kind, namespace, name)
    except ValueError:
        return
    assert _segments(one) == _expected(kind, namespace, name)


@pytest.mark.parametrize("namespace", ["..", ".", "", "a/b", "a%2fb", "A", "a.b", "x" * 64])
def test_what_is_no_namespace_has_no_path(namespace: str) -> None:
    with pytest.raises(ValueError, match="is not a namespace"):
        paths.list_path(PODS, namespace)


@settings(max_examples=400)
@given(make.hostile, make.hostile, make.hostile, st.booleans(), st.booleans())
def test_no_discovered_type_changes_a_path(plural: str, group: str, version: str, namespaced: bool, named: bool) -> None:
    try:
        kind = paths.discovered(plural=plural, group=group, version=version, kind="Thing", namespaced=namespaced)
        path = paths.object_path(kind, "shop", "x") if named else paths.list_path(kind, "shop")
    except ValueError:
        return
    assert _segments(path) == _expected(kind, "shop", *(["x"] if named else []))


@pytest.mark.parametrize(
    "subresource", ["exec", "proxy", "attach", "portforward", "token", "log/../exec", "ephemeralcontainers", "x"]
)
def test_dangerous_subresources_have_no_path(subresource: str) -> None:
    with pytest.raises(ValueError, match="not used here"):
        paths.object_path(PODS, "shop", "web-0", subresource)


params = st.dictionaries(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=30), max_size=4)


def _encodes(params: dict[str, str]) -> bool:
    """Lone surrogates are no text and can't be sent at all."""
    return all(text.isprintable() or text.isascii() for pair in params.items() for text in pair)


@settings(max_examples=300)
@given(params.filter(_encodes))
def test_no_value_changes_a_query(values: dict[str, str]) -> None:
    text = paths.query(values)
    parts = urlsplit(f"https://kubernetes/api/v1/pods{text}")
    assert parts.path == "/api/v1/pods"
    assert parts.fragment == ""
    assert dict(parse_qsl(parts.query, keep_blank_values=True)) == values


@settings(max_examples=400)
@given(make.hostile, st.sampled_from(("-l", "--field-selector", "-n", "name", "type", "jsonpath", "-c", "--sort-by", "--for")))
def test_no_word_of_a_line_changes_a_request(text: str, where: str) -> None:
    argv = {
        "-l": ["get", "pods", "-l", text],
        "--field-selector": ["get", "pods", "--field-selector", text],
        "-n": ["get", "pods", "-n", text],
        "name": ["describe", "pods", text],
        "type": ["get", text],
        "jsonpath": ["get", "pods", "-o", f"jsonpath={text}"],
        "-c": ["logs", "web-0", "-c", text],
        "--sort-by": ["get", "pods", "--sort-by", text],
        "--for": ["events", "--for", f"pod/{text}"],
    }[where]
    call = _parsed(argv)
    if call is not None:
        _check_request(call)


def _check_request(call: Call) -> None:
    """Every address that could be built from the call says what the call says, and nothing else."""
    namespace = getattr(call, "namespace", None)
    for resource in _named(call):
        kind = resource.type
        if not kind.known:
            kind = paths.discovered(plural=kind.plural, group=kind.group, version="v1", kind="Thing", namespaced=True)
        assert _segments(paths.list_path(kind, namespace)) == _expected(kind, namespace)
        if resource.name:
            assert _segments(paths.object_path(kind, namespace or "default", resource.name)) == _expected(
                kind, namespace or "default", resource.name
            )
    wanted = {
        "labelSelector": getattr(call, "label_selector", ""),
        "fieldSelector": getattr(call, "field_selector", ""),
        "container": getattr(call, "container", ""),
    }
    sent = dict(parse_qsl(urlsplit(f"https://kubernetes/x{paths.query(wanted)}").query))
    assert sent == {key: value for key, value in wanted.items() if value}


def _named(call: Call) -> list[NamedResource]:
    match call:
        case GetCall() | DescribeCall():
            return list(call.resources)
        case LogsCall() | RolloutStatusCall():
            return [call.resource] if call.resource else []
        case EventsCall():
            return [call.for_object] if call.for_object else []
        case _:
            return []


@settings(max_examples=300)
@given(make.hostile)
def test_a_call_that_was_built_by_hand_carries_no_more_than_a_line(text: str) -> None:
    """A control plane that was taken over sends calls, not lines: the types refuse what the grammar refuses."""
    pods = NamedResource(type=PODS)

    for build, line in (
        (lambda: GetCall(resources=(pods,), label_selector=text), ["get", "pods", "-l", text]),
        (lambda: GetCall(resources=(pods,), field_selector=text), ["get", "pods", "--field-selector", text]),
        (lambda: GetCall(resources=(pods,), namespace=text), ["get", "pods", "-n", text]),
        (lambda: GetCall(resources=(pods,), output="jsonpath", jsonpath=text), ["get", "pods", "-o", f"jsonpath={text}"]),
        (lambda: GetCall(resources=(pods,), sort_by=text), ["get", "pods", "--sort-by", text]),
        (lambda: LogsCall(resource=NamedResource(type=PODS, name="x"), container=text), ["logs", "x", "-c", text]),
        (lambda: TopCall(what="pods", name=text), ["top", "pods", "--", text]),
    ):
        if not text:
            continue
        try:
            build()
        except ValidationError:
            assert _parsed(line) is None


@pytest.mark.parametrize(
    "disguise",
    [
        {"plural": "secrets", "kind": "ConfigMap"},
        {"plural": "secrets", "known": False},
        {"plural": "secrets", "namespaced": False, "kind": "Secret"},
        {"plural": "secret", "known": False},
        {"plural": "nodes", "kind": "Node", "namespaced": True},
        {"plural": "no", "known": False},
        {"plural": "things", "known": True},
    ],
)
def test_no_type_is_dressed_up_as_another(disguise: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ResourceType.model_validate(disguise)


def test_a_secret_under_another_group_is_a_secret() -> None:
    call = GetCall(resources=(NamedResource(type=ResourceType(plural="secrets", group="example.io")),))
    assert judge(call, ALL_POWER).decision is Decided.DENY
