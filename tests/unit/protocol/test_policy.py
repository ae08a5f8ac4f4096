"""The policy beside the table of lines: commands, changes, the runner's own configuration."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from protocol.approval import Role
from protocol.bus import RunnerMode
from protocol.commands import (
    CheckPlan,
    Command,
    Diagnose,
    Execute,
    GrantStatus,
    Kubectl,
    ListChanges,
    PreparePlan,
    PromQuery,
    ScopeLimit,
)
from protocol.grant import Grant, SignedGrant
from protocol.kubectl import Call, parse
from protocol.kubectl.calls import WriteCall
from protocol.objects import ObjectRef
from protocol.policy import Decided, PolicyContext, Verdict, judge, runner_may
from protocol.remediation import (
    CordonNode,
    CreateConfigMap,
    DeleteConfigMap,
    DeletePod,
    PatchConfigMap,
    PlanBody,
    Remediation,
    RestartWorkload,
    Risk,
    ScaleWorkload,
    SetEnv,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEB = ObjectRef.parse("Deployment/shop/web")
NODE = ObjectRef.parse("Node//worker-1")
CONFIG = ObjectRef.parse("ConfigMap/shop/app")
RESTART = RestartWorkload(target=WEB)
SHOP = ScopeLimit(namespaces=("shop",))
READ_WRITE = RunnerMode(writes=True, remediations=("restart", "scale", "create_configmap"), namespaces=("shop",))


def _body(action: Remediation, undo: Remediation | None = None) -> PlanBody:
    return PlanBody(cluster="c" * 16, action=action, undo=undo, target_uid="u", fields_hash="f")


def _execute(action: Remediation, undo: Remediation | None = None, purpose: str = "action") -> Execute:
    grant = Grant(
        cluster="c" * 16, runner_boot="b", plan_hash="h", purpose=purpose, authority=f"approval:{'a' * 16}", kid="k",
        nonce="n" * 16, issued_at=NOW, expires_at=NOW,
    )  # fmt: skip
    return Execute(body=_body(action, undo), grant=SignedGrant(grant=grant, signature="0" * 128))


def _kubectl(line: str) -> Kubectl:
    return Kubectl.model_validate({"call": parse(line)})


def _context(scope: ScopeLimit | None = None, **more: object) -> PolicyContext:
    return PolicyContext.model_validate({"scope": scope or ScopeLimit(), "role": Role.OPERATOR, "mode": READ_WRITE, **more})


def _decided(what: Command | Call | Remediation, scope: ScopeLimit | None = None, **more: object) -> Decided:
    return judge(what, _context(scope, **more)).decision


def test_a_context_without_a_scope_does_not_exist() -> None:
    with pytest.raises(ValueError, match="scope"):
        PolicyContext.model_validate({"role": "admin"})


def test_what_the_policy_does_not_know_is_denied() -> None:
    class Unheard:
        pass

    verdict = judge(cast(Any, Unheard()), _context())
    assert verdict.decision is Decided.DENY
    assert "Unheard" in verdict.reason


@pytest.mark.parametrize(
    ("command", "anywhere", "in_shop"),
    [
        (_kubectl("get pods -n shop"), Decided.ALLOW, Decided.ALLOW),
        (_kubectl("get secrets -n shop"), Decided.DENY, Decided.DENY),
        (PromQuery(expr="up"), Decided.ALLOW, Decided.DENY),
        (PromQuery(expr='up{namespace="shop"}'), Decided.ALLOW, Decided.ALLOW),
        (Diagnose(words=("payments",)), Decided.ALLOW, Decided.ALLOW),
        (Diagnose(namespace="shop"), Decided.ALLOW, Decided.ALLOW),
        (Diagnose(namespace="pay"), Decided.ALLOW, Decided.DENY),
        (Diagnose(target=WEB), Decided.ALLOW, Decided.ALLOW),
        (Diagnose(target=NODE), Decided.ALLOW, Decided.DENY),
        (Diagnose(target=ObjectRef.parse("Pod/pay/x"), namespace="shop"), Decided.ALLOW, Decided.DENY),
        (ListChanges(namespace="pay"), Decided.ALLOW, Decided.DENY),
        (ListChanges(target=WEB), Decided.ALLOW, Decided.ALLOW),
        (PreparePlan(action=RESTART), Decided.ALLOW, Decided.ALLOW),
        (PreparePlan(action=CordonNode(target=NODE)), Decided.ALLOW, Decided.DENY),
        (PreparePlan(action=RestartWorkload(target=ObjectRef.parse("Deployment/pay/web"))), Decided.ALLOW, Decided.DENY),
        (PreparePlan(action=DeleteConfigMap(target=CONFIG)), Decided.DENY, Decided.DENY),
        (CheckPlan(body=_body(RESTART), started_at=NOW), Decided.ALLOW, Decided.ALLOW),
        (CheckPlan(body=_body(CordonNode(target=NODE)), started_at=NOW), Decided.ALLOW, Decided.DENY),
        (GrantStatus(authority="approval:x"), Decided.ALLOW, Decided.ALLOW),
        (_execute(RESTART), Decided.APPROVE, Decided.APPROVE),
    ],
)  # fmt: skip
def test_commands(command: Command, anywhere: Decided, in_shop: Decided) -> None:
    assert _decided(command) is anywhere
    assert _decided(command, SHOP) is in_shop


@pytest.mark.parametrize(
    ("what", "more", "says"),
    [
        (RESTART, {"kill_switch": True}, "kill switch"),
        (RESTART, {"role": Role.VIEWER}, "operator"),
        (RESTART, {"scope": ScopeLimit(namespaces=("pay",))}, "allowed: pay"),
        (RESTART, {"scope": ScopeLimit(namespaces=())}, "no namespace"),
        (CordonNode(target=NODE), {"scope": SHOP}, "whole cluster"),
        (DeleteConfigMap(target=CONFIG), {}, "undo"),
        (SetEnv(target=WEB, container="app", env={"API_TOKEN": "abc123"}), {}, "Secret"),
        (PatchConfigMap(target=CONFIG, data={"db": "postgres://u:hunter2@db/x"}), {}, "Secret"),
        (CreateConfigMap(target=CONFIG, data={"password": "hunter2"}), {}, "Secret"),
        (_execute(RESTART), {"kill_switch": True}, "kill switch"),
        (_execute(RESTART), {"frozen": True}, "freeze window"),
        (_execute(RESTART), {"mode": RunnerMode()}, "read-only"),
        (_execute(RESTART), {"mode": RunnerMode(writes=True)}, "runs no restart"),
        (_execute(RESTART), {"scope": ScopeLimit(namespaces=("pay",))}, "allowed: pay"),
        (_execute(RESTART, purpose="undo"), {}, "no undo"),
        (_execute(RESTART, DeletePod(target=ObjectRef.parse("Pod/shop/x"))), {}, "the undo is about"),
        (_execute(RESTART, ScaleWorkload(target=WEB, replicas=0)), {}, "scale is not an undo of restart"),
        (_execute(DeleteConfigMap(target=CONFIG)), {}, "undo"),
    ],
)
def test_changes_that_are_denied(what: Command | Remediation, more: dict[str, object], says: str) -> None:
    verdict = judge(what, _context(**cast(dict[str, Any], {"scope": ScopeLimit(), **more})))
    assert verdict.decision is Decided.DENY
    assert says in verdict.reason


def test_in_a_freeze_a_change_may_be_asked_for_and_not_be_run_unless_the_glass_is_broken() -> None:
    """The card says until when. A kill switch holds even against a broken glass."""
    asked = judge(RESTART, _context(scope=ScopeLimit(), frozen=True))
    assert (asked.decision, "freeze window" in asked.reason) == (Decided.APPROVE, True)
    assert judge(_execute(RESTART), _context(scope=ScopeLimit(), frozen=True)).decision is Decided.DENY
    broken = _context(scope=ScopeLimit(), frozen=True, break_glass=True)
    assert judge(_execute(RESTART), broken).decision is Decided.APPROVE
    killed = _context(scope=ScopeLimit(), kill_switch=True, break_glass=True)
    assert judge(_execute(RESTART), killed).decision is Decided.DENY


@pytest.mark.parametrize("value", ["a\u202eb", "a\u200bb", "a\x1b[2Kb", "a\x00b", "a\rb", "\U000e0041"])
def test_a_value_with_characters_that_a_card_does_not_show_is_denied(value: str) -> None:
    """The diff is shown without them, so something else would run than was approved."""
    context = PolicyContext(scope=SHOP, role=Role.OPERATOR)
    for action in (
        SetEnv(target=WEB, container="web", env={"MODE": value}),
        PatchConfigMap(target=CONFIG, data={"app.conf": value}),
        CreateConfigMap(target=CONFIG, data={"app.conf": value}),
    ):
        verdict = judge(action, context)
        assert verdict.decision is Decided.DENY
        assert "invisible" in verdict.reason
        assert judge(PreparePlan(action=action), context).decision is Decided.DENY
    fine = PatchConfigMap(target=CONFIG, data={"app.conf": "a = 1\r\n\tb = 设置\n"})
    assert judge(fine, context).decision is Decided.APPROVE


def test_a_change_that_fits_is_approved_and_never_allowed() -> None:
    assert judge(RESTART, _context()) == Verdict(
        decision=Decided.APPROVE, risk=Risk.LOW, reason="a restart rolls the same template out again; it needs an approval"
    )


def test_a_proposal_on_a_read_only_runner_says_that_it_cannot_run() -> None:
    verdict = judge(RESTART, _context(mode=RunnerMode()))
    assert verdict.decision is Decided.APPROVE
    assert "read-only" in verdict.reason


def test_an_undo_is_covered_by_its_action() -> None:
    create = CreateConfigMap(target=CONFIG, data={"a": "b"})
    assert _decided(_execute(create, DeleteConfigMap(target=CONFIG), purpose="undo")) is Decided.APPROVE


def test_a_line_without_a_namespace_is_judged_in_the_default_one() -> None:
    call = parse("rollout restart deploy/web")
    assert isinstance(call, WriteCall)
    assert _decided(call, SHOP, default_namespace="shop") is Decided.APPROVE
    assert _decided(call, SHOP, default_namespace="pay") is Decided.DENY
    assert _decided(parse("rollout restart deploy/web -n shop"), SHOP, default_namespace="pay") is Decided.APPROVE


@pytest.mark.parametrize(
    ("line", "decision", "says"),
    [
        ("get secrets -n shop", Decided.ALLOW, ""),
        ("get secret db -n shop -o name", Decided.ALLOW, ""),
        ("get secret db -n shop -o wide", Decided.ALLOW, ""),
        ("describe secret db -n shop", Decided.ALLOW, ""),
        ("get secret db -n shop -o yaml", Decided.DENY, "values of Secrets are never read"),
        ("get secret db -n shop -o json", Decided.DENY, "values of Secrets are never read"),
        ("get secret db -n shop -o jsonpath={.data}", Decided.DENY, "values of Secrets are never read"),
        ("get secrets -n shop --sort-by=.data.password", Decided.DENY, "values of Secrets are never read"),
        ("get secrets -n pay", Decided.DENY, "Secrets are not read"),
        ("get secrets -A", Decided.DENY, "Secrets are not read"),
        ("get secrets", Decided.DENY, "Secrets are not read"),
    ],
)
def test_names_of_secrets_are_opened_by_namespace(line: str, decision: Decided, says: str) -> None:
    verdict = judge(parse(line), _context(secrets_opt_in=("shop",)))
    assert verdict.decision is decision
    assert says in verdict.reason


def test_a_default_namespace_that_is_opened_does_not_open_them_all() -> None:
    context = _context(secrets_opt_in=("shop",), default_namespace="shop")
    assert judge(parse("get secrets"), context).decision is Decided.ALLOW
    assert judge(parse("get secrets -A"), context).decision is Decided.DENY


@pytest.mark.parametrize(
    ("mode", "action", "says"),
    [
        (RunnerMode(), RESTART, "read-only"),
        (RunnerMode(writes=True), RESTART, "it runs: nothing"),
        (RunnerMode(writes=True, remediations=("scale",)), RESTART, "it runs: scale"),
        (RunnerMode(writes=True, remediations=("restart",), namespaces=("pay",)), RESTART, "not in shop"),
        (RunnerMode(writes=True, remediations=("restart",), namespaces=()), RESTART, "no namespace"),
        (
            RunnerMode(writes=True, remediations=("cordon",), namespaces=("shop",)),
            CordonNode(target=NODE),
            "is in no namespace",
        ),
        (RunnerMode(writes=True, remediations=("cordon",)), CordonNode(target=NODE), None),
        (RunnerMode(writes=True, remediations=("restart",), namespaces=("shop",)), RESTART, None),
        (RunnerMode(writes=True, remediations=("restart",)), RESTART, None),
    ],
)
def test_the_runners_own_configuration(mode: RunnerMode, action: Remediation, says: str | None) -> None:
    reason = runner_may(mode, action)
    assert (reason is None) == (says is None)
    assert says is None or (reason is not None and says in reason)
