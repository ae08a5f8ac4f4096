"""The specification of what the offline model understands: utterance to intent, in three languages."""

import time

import pytest

from agent_runtime.models.intents import Ask, Intent, intent_of, sees_scope
from agent_runtime.models.keywords import keywords
from agent_runtime.models.words import minutes_in, names_in

SPACES = ("default", "shop", "kube-system")

D, L, U, C, F, LS, E, H, X = (
    Ask.DIAGNOSE,
    Ask.LOGS,
    Ask.USAGE,
    Ask.CHANGES,
    Ask.FIX,
    Ask.LIST,
    Ask.EVENTS,
    Ask.HELP,
    Ask.UNKNOWN,
)

UTTERANCES: list[tuple[str, Intent]] = [
    # what is wrong with something
    ("why does payments keep restarting?", Intent(D, ("payments",))),
    ("Why is payments-api in CrashLoopBackOff", Intent(D, ("payments-api",))),
    ("what is wrong with checkout in namespace shop", Intent(D, ("checkout",), "shop", kind="namespace")),
    ("Is search slow?", Intent(D, ("search",))),
    ("customers say checkout is broken", Intent(D, ("checkout",))),
    ("payments keeps crashing, please check", Intent(D, ("payments",))),
    ("is deploy/web healthy?", Intent(D, ("deploy/web",), kind="deploy")),
    ("diagnose Deployment/shop/payments", Intent(D, ("deployment/shop/payments",), kind="deployment")),
    ("payments?", Intent(D, ("payments",))),
    ("why did worker get OOMKilled twice today", Intent(D, ("worker",), minutes=720)),
    ("what changed so that checkout fails? why?", Intent(D, ("checkout",))),
    ("why are there errors in the logs of orders", Intent(D, ("orders",))),
    ("customers get 502 at checkout", Intent(D, ("checkout",))),
    ("reports does not start", Intent(D, ("reports",))),
    ("checkout cannot reach payments", Intent(D, ("checkout", "reach", "payments"))),
    ("I fixed recommend and it broke again", Intent(D, ("recommend", "broke"))),
    ("what is the root cause of the invoices outage?", Intent(D, ("cause", "invoices", "outage"))),
    # in a namespace, in the cluster
    ("is anything wrong in shop?", Intent(D, (), "shop")),
    ("what's going on in the shop namespace", Intent(D, (), "shop", kind="namespace")),
    ("problems with -n kube-system", Intent(D, (), "kube-system")),
    ("is the cluster healthy?", Intent(D)),
    ("what's wrong?", Intent(D)),
    ("为什么 payments 一直重启？", Intent(D, ("payments",))),
    ("shop 命名空间有什么问题", Intent(D, (), "shop", kind="namespaces")),
    ("集群有什么问题？", Intent(D)),
    ("checkout 怎么了", Intent(D, ("checkout",))),
    ("なぜ payments は再起動を繰り返すの？", Intent(D, ("payments",))),
    ("名前空間 shop の問題は？", Intent(D, (), "shop", kind="namespaces")),
    ("checkoutが動かない", Intent(D, ("checkout",))),
    ("クラスターは正常ですか", Intent(D)),
    # logs
    ("show logs of payments before the crash", Intent(L, ("payments",), previous=True)),
    ("logs payments", Intent(L, ("payments",))),
    ("give me the previous logs of orders in namespace shop", Intent(L, ("orders",), "shop", previous=True, kind="namespace")),
    ("显示 payments 上一次的日志", Intent(L, ("payments",), previous=True)),
    ("payments のクラッシュ前のログ", Intent(L, ("payments",), previous=True)),
    ("payments のログを見せて", Intent(L, ("payments",))),
    # usage
    ("how much memory does payments use?", Intent(U, ("payments",))),
    ("cpu usage of worker", Intent(U, ("worker",))),
    ("payments 的内存使用率", Intent(U, ("payments",))),
    ("checkoutのメモリ使用量", Intent(U, ("checkout",))),
    # what changed
    ("what changed in the last 2 hours", Intent(C, minutes=120)),
    ("who changed checkout yesterday", Intent(C, ("checkout",), minutes=1440)),
    ("最近30分钟改了什么", Intent(C, minutes=30)),
    ("昨日何が変わった？", Intent(C, minutes=1440)),
    # fix it
    ("fix it", Intent(F)),
    ("please fix payments", Intent(F, ("payments",))),
    ("go ahead", Intent(F)),
    ("修复它", Intent(F)),
    ("直して", Intent(F)),
    # lists and events
    ("list pods in shop", Intent(LS, (), "shop", kind="pods")),
    ("show me all nodes", Intent(LS, kind="nodes")),
    ("列出节点", Intent(LS, kind="nodes")),
    ("ポッドの一覧", Intent(LS, kind="pods")),
    ("events in shop", Intent(E, (), "shop")),
    ("shop 的事件", Intent(E, (), "shop")),
    ("shop のイベント", Intent(E, (), "shop")),
    # help, and what is none of it
    ("help", Intent(H)),
    ("Hello!", Intent(H)),
    ("你能做什么", Intent(H)),
    ("何ができますか", Intent(H)),
    ("tell me a joke about penguins and trains", Intent(X, ("joke", "penguins", "trains"))),
]


@pytest.mark.parametrize(("text", "expected"), UTTERANCES, ids=[text for text, _ in UTTERANCES])
def test_an_utterance_has_its_intent(text: str, expected: Intent) -> None:
    assert intent_of(text, namespaces=SPACES) == expected


def test_the_table_is_large_enough_and_covers_each_kind_in_each_language() -> None:
    assert len(UTTERANCES) >= 40
    assert {intent.ask for _, intent in UTTERANCES} == set(Ask)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("why does payments keep restarting?", True),
        ("is the cluster healthy?", True),
        ("集群有什么问题？", True),
        ("なぜ payments は落ちる？", True),
        ("fix it", False),
        ("show logs of payments", False),
        ("help", False),
        ("thanks, that was quick", False),
    ],
)
def test_the_rules_run_first_only_where_the_question_is_about_what_is_wrong(text: str, seen: bool) -> None:
    assert sees_scope(intent_of(text, namespaces=SPACES), text) is seen


def test_full_width_letters_are_read_as_the_ascii_that_they_mean() -> None:
    assert names_in("ｐａｙｍｅｎｔｓ？") == (("payments",), None)


def test_at_most_six_words_are_passed_on() -> None:
    assert len(names_in("alpha bravo charlie delta echo foxtrot golf india")[0]) == 6


def test_a_kind_alone_is_no_name_and_no_namespace() -> None:
    assert names_in("which namespace pods are slow") == ((), None)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("last 90 minutes", 90),
        ("in an hour", 60),
        ("过去半小时", 30),
        ("2日", 2880),
        ("last 999 days", 14 * 1440),
        ("now", None),
    ],
)
def test_how_far_back_a_question_looks(text: str, minutes: int | None) -> None:
    assert minutes_in(text) == minutes


def test_a_very_long_hostile_question_is_read_in_linear_time() -> None:
    began = time.process_time()
    for text in (
        "is " * 6_000 + "payments ok" + " namespace" * 200,
        "a" * 20_000,
        "a-" * 10_000,
        "1" * 20_000,
        "为什么" * 6_000,
    ):
        intent_of(text, namespaces=SPACES)
    assert time.process_time() - began < 5


def test_no_stop_word_would_be_a_name_of_the_shop() -> None:
    assert not keywords().stop & {
        "payments",
        "checkout",
        "search",
        "orders",
        "cart",
        "catalog",
        "web",
        "worker",
        "db",
        "reports",
    }
