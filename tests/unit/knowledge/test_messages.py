"""Every sentence that our sources make for people has its words in Chinese and Japanese, and comes out whole."""

import re
from collections.abc import Mapping

import pytest

from knowledge.diagnosis import diagnose
from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.remedies import recommend
from knowledge.wording import Language, localized, say, title, translate
from knowledge.wording.translate import LONGEST, is_ours, match, rows
from protocol.commands import Diagnose
from protocol.diagnosis import Diagnosis, SimilarCase
from protocol.objects import ObjectRef
from tests.unit.knowledge.faults import Row
from tests.unit.knowledge.shop import search_healthy, shop
from tests.unit.knowledge.source_texts import COMMANDS, ENGLISH, ROOT, left_in_english, sentences
from tests.unit.knowledge.test_remedies import cause
from tests.unit.knowledge.test_rules import ROWS

LANGUAGES: tuple[Language, ...] = ("zh", "ja")
HOLE = re.compile(r"\{([^}]*)\}")
HAN_OR_KANA = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
SWEPT = (
    "knowledge/remedies/*.py",
    *(f"control_plane/alerts/{name}.py" for name in ("groups", "matchers", "records", "routes", "tokens")),
    "runner/remediation/*.py",
    "agent_runtime/actions/*.py",
    *(f"knowledge/diagnosis/{name}.py" for name in ("answer", "engine", "view")),
    *(f"runner/{name}.py" for name in ("cache/live", "commands/diagnosing", "work")),
    *(f"tools/{name}.py" for name in ("enrich", "titles")),
    *(f"protocol/{name}.py" for name in ("approval", "risk")),
    *(f"control_plane/{name}.py" for name in ("accounts", "approval_records", "approvals", "break_glass", "cases")),
    *(f"control_plane/{name}.py" for name in ("decisions", "feedback", "fleet", "freezes", "notifications", "passwords")),
    *(f"control_plane/{name}.py" for name in ("proposals", "readers", "roles", "sign_ins", "transitions", "turns")),
    *(f"control_plane/slack/{name}.py" for name in ("channels", "groups", "people", "secrets")),
    *(f"bot/api/{name}.py" for name in ("access", "slack_http", "throttle", "views")),
    "bot/slack/front/installing.py",
    "bot/slack/sharing.py",
)
NOT_SENTENCES = {"runner/remediation/git_patch.py"}
"""Comments of a YAML file that goes to Git."""
SOURCES = sorted({str(file.relative_to(ROOT)) for pattern in SWEPT for file in ROOT.glob(pattern)} - NOT_SENTENCES)
FILLED: Mapping[str, str] = {
    "_roll_words(a, s)": "A new roll-out replaces its pods step by step",
    "seen": "2 of 2 pods ready",
    "by": " by kustomize-controller",
    "keeper_words(keeper)": "Argo CD application shop",
    "_by(body, obj, started_at, now)": " by kustomize-controller",
    "seen.message": "2 of 2 pods ready",
    "subject": "Deployment x",
    "asked.unknown": "nothing called x can be seen",
    "_ago(context.now - newest.order)": "5 minutes",
}
PIECES = frozenset(
    {
        # Parts of sentences: the whole ones are made in the tests below, or in the rows that hold them.
        ", before 3 changed it",
        "; or label a node: kubectl label node <node> 3",
        "3 3 fits on no node now. 3",
        "What reads 3 calls a Service that exists",
        "; variables are read at start, so the pods must be restarted to see it.",
        " (copy of 3: kubectl -n 3 get configmap 3 -o yaml)",
        "; the limit of 3Mi cuts the peak off, so at least x 3 = 3Mi",
        "3; the limit before was 3Mi, which is enough and was used before",
        "3; the next size is 3Mi",
        "; look at what else uses memory on node 3 (kubectl top pod -A --sort-by=memory)",
        "3 of container 3",
        "; and give the wait a time-out, so that the next wrong name is an error and not silence",
        "and log",
        "The command",
        "Check the name and tag of 3 in the registry, and set one that exists: ",
        "Because of it: 3.",
        "; the last was 3 ago and the containers have run since",
        "There were 3 restarts3.",
        "no workload",
        "2 of 2 pods ready; 3",
        "; evicting its pods stopped: 3",
        "; evicting its pods was stopped by order: 3 of 3 pods stay where they are; the node stays cordoned",
        "; 3 of 3 pods could not be evicted in time: their disruption budgets hold them",
        "3 3: make a new plan",
        "is gone",
        "exists already",
        "is another one of the same name",
        "change that instead",
        "change its custom resource instead",
        "it is controlled by 3, which reverts the change; 3",
        " in namespace 3",
        "A new roll-out replaces 3 step by step",
        "its pods",
        "No changes seen in the last 3 s.\n",
        "of the cluster itself",
        "3, but it can't be undone",
        "3, but whether the namespace 3 is protected can't be seen",
        "It was stopped half-way by order. 3. 3",
        "3. Nothing is left to undo; change it where its owner reads from.",
        "It got worse: 3",
        "It got worse.",
        "3 The change was undone.",
        "3 Whether the undo ran is not known: 3",
        "3 The undo did not run: 3 3",
        "already decided33: it is 3",
        "the kill switch of cluster 3 is on3: nothing may be changed there until an admin turns it off",
        "cluster 3 is frozen until 3 UTC3: no change runs before that, unless somebody breaks the glass",
        "Value error, ",
        " It could not be undone: 3.",
        # For programmers: no way leads them to a person.
        "3 does not read",
        "3 was replaced or rolled out anew since the fix",
        "3, so the soak says nothing.",
        "3, and the trouble is back: 3",
        "seed taken out",
        "not ours",
        "unreachable: the last attempt returns or raises",
    }
)


@pytest.mark.parametrize("source", SOURCES)
def test_every_sentence_of_the_sources_is_in_the_catalogue(source: str) -> None:
    missing = [f"{source}:{line}: {text!r}" for line, text in sentences(source, FILLED) if not is_ours(text, "zh")]
    assert [said for said in missing if not any(said.endswith(f": {piece!r}") for piece in PIECES)] == []


def test_no_piece_is_left_over() -> None:
    found = {text for source in SOURCES for _, text in sentences(source, FILLED) if not is_ours(text, "zh")}
    assert PIECES - found == set()


def test_rows_hold_the_same_places_in_all_languages() -> None:
    english = [row.english for row in rows()]
    assert len(english) == len(set(english))
    for row in rows():
        for language in LANGUAGES:
            said = row.said[language]
            left_out = set(HOLE.findall(row.english)) - set(HOLE.findall(said))
            assert set(HOLE.findall(said)) <= set(HOLE.findall(row.english)), row.english
            assert not left_out, (row.english, left_out)
            assert HAN_OR_KANA.search(said) or not re.search("[a-z]{2}", HOLE.sub("", said).removeprefix("Pod")), row.english
            assert not ENGLISH.search(COMMANDS.sub("", HOLE.sub("", said))), said
            if row.english.endswith(".") and HOLE.sub("", said):
                assert said.endswith(("。", "}")), said


def words_of(found: Diagnosis) -> list[str]:
    return [
        found.summary,
        *(one.explanation for one in found.root_causes),
        *(one.title for one in found.symptoms),
        *(text for one in found.recommendations for text in (one.why, one.expected_effect, one.instructions or "")),
        *found.checked,
        *found.limits,
    ]


def quoted_by(found: Diagnosis) -> list[str]:
    """What a diagnosis quotes of the cluster: facts, and the messages of events and objects in its evidence."""
    hits = [*found.root_causes, *found.symptoms]
    quotes = [one.excerpt for hit in hits for one in hit.evidence]
    inner = [message for quote in quotes for message in re.findall(r'"message":"((?:[^"\\]|\\.)*)"', quote)]
    return [
        *(str(value) for one in found.root_causes for value in one.facts.values()),
        *quotes,
        *(quote.rstrip(".") for quote in quotes),
        *(message.replace('\\"', '"') for message in inner),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", ROWS, ids=[f"{n}-{row.code}" for n, row in enumerate(ROWS)])
def test_no_rule_and_no_remedy_leaves_english_in_a_diagnosis(row: Row, language: Language) -> None:
    found = diagnose(row.make().view(), Diagnose())
    found = found.model_copy(update={"recommendations": recommend(found)})
    told = localized(found, language)
    for before, after in zip(found.root_causes, told.root_causes, strict=True):
        assert after.explanation not in (before.explanation, f"{title(before.code, language)}。"), before
    assert left_in_english(words_of(told), quoted_by(found)) == []
    assert localized(found, "en") is found
    assert [c.evidence for c in told.root_causes] == [c.evidence for c in found.root_causes]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(CATALOGUE))
@pytest.mark.parametrize("known", [False, True], ids=["few-facts", "many-facts"])
def test_no_remedy_of_any_code_leaves_english(code: str, language: Language, known: bool) -> None:
    facts = {
        "container": "app",
        "workload": "Deployment/shop/web",
        "revision": 2,
        "current_revision": 3,
        "previous": "one:1",
        "near": "Service/shop/payments",
        "missing_service": "Service/shop/pay",
        "current": "http://pay:80",
        "key": "URL",
        "by": "ann",
        "read_as": "env",
        "port": "8080",
        "path": "/health",
        "request": "64",
        "largest": "8",
        "fits_no_node": True,
        "node": "worker-1",
        "env": "TOKEN_URL",
        "image": "shop:v2",
        "host": "db",
        "exit_code": 3,
    }
    kinds = {"node-not-ready": "Node//worker-1", "node-pressure": "Node//worker-1", "pod-stuck-terminating": "Pod/shop/web-1"}
    target = kinds.get(code, "ConfigMap/shop/settings" if code.startswith("configmap") else "Deployment/shop/web")
    one = cause(code, target, **(facts if known else {}))
    found = Diagnosis(summary=one.explanation, healthy=False, root_causes=(one,))
    found = found.model_copy(update={"recommendations": recommend(found)})
    assert left_in_english(words_of(localized(found, language)), []) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("target", ["search", "zebra", "payments"])
def test_healthy_and_unknown_are_said_whole(target: str, language: Language) -> None:
    for world in (shop(), search_healthy()):
        assert left_in_english([say(world.ask(target), language)], []) == []


@pytest.mark.parametrize(
    ("english", "zh", "ja"),
    [
        ("0 of 2 pods ready", "2 个 Pod 中 0 个就绪", "Pod 2 個中 0 個が Ready"),
        (
            "2 of 2 pods ready, no restart for 12 s",
            "2 个 Pod 中 2 个就绪，12 秒内无重启",
            "Pod 2 個中 2 個が Ready、12 秒間再起動なし",
        ),
        (
            "Approving this needs the role approver; yours is operator.",
            "批准此变更需要审批者角色；你的角色是操作员。",
            "この変更の承認には承認者の役割が必要です。あなたはオペレーターです。",
        ),
        (
            "It got worse: 0 of 2 pods ready; pod web-1: ErrImagePull not found. The change was undone.",
            "情况变差：2 个 Pod 中 0 个就绪；Pod web-1：ErrImagePull not found。变更已撤销。",
            "悪化しました：Pod 2 個中 0 個が Ready、Pod web-1：ErrImagePull not found。変更は取り消しました。",
        ),
        (
            "It got worse: 0 of 2 pods ready; pod web-1: ErrImagePull not found The change was undone.",
            "情况变差：2 个 Pod 中 0 个就绪；Pod web-1：ErrImagePull not found。变更已撤销。",
            "悪化しました：Pod 2 個中 0 個が Ready、Pod web-1：ErrImagePull not found。変更は取り消しました。",
        ),
        (
            "It was not run: the kill switch of cluster prod is on.",
            "没有执行：集群 prod 的紧急停止已开启。",
            "実行されませんでした：クラスター prod の緊急停止が有効です。",
        ),
        (
            "there is no approval 'abc', or it is not yours to see",
            "没有审批 'abc'，或你无权查看",
            "承認 'abc' はないか、閲覧権限がありません",
        ),
    ],
)
def test_whole_sentences(english: str, zh: str, ja: str) -> None:
    assert (translate(english, "en"), translate(english, "zh"), translate(english, "ja")) == (english, zh, ja)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "restart it, because it has failed for 5 minutes",
        "The revision before ran 3 weeks. Then somebody; changed it.",
        "kubectl -n shop get pods",
        "x of y pods ready",
        "回滚",
        "pods ready; " * 400,
    ],
)
def test_what_is_not_ours_stays_as_it_is(text: str) -> None:
    assert translate(text, "zh") == text


def test_what_stands_in_a_place_is_kept_to_the_letter() -> None:
    evil = "{x}<b>$& \\1 {why?}"
    assert translate(f"The API server would refuse it: {evil}", "zh") == f"API 服务器会拒绝：{evil}"
    assert evil in translate(f"there is no cluster {evil}; `opsthread cluster list` lists the ones that you may see", "ja")


def test_a_long_text_is_not_looked_at() -> None:
    assert translate("2 pods; " * LONGEST, "zh").startswith("2 pods")


def test_matching_takes_each_piece_where_it_comes_first() -> None:
    assert match(("a ", " b ", ""), "a 1 b 2 b 3") == ("1", "2 b 3")
    assert match(("a ", " b"), "a b") is None
    assert match(("a",), "a") == ()
    assert match(("", " ago"), " ago") == ("",)
    assert match(("peak ", ""), "pea") is None


def test_a_similar_case_is_named_by_its_cause() -> None:
    case = SimilarCase(
        id="1",
        title="The container is killed.",
        root_cause="memory-limit-too-low @ Deployment/shop/a",
        outcome="held",
        score=1,
    )
    found = Diagnosis(summary="s", healthy=False, similar_cases=(case,))
    assert localized(found, "zh").similar_cases[0].title == "内存限制过低：Deployment/shop/a"


def test_a_models_own_words_stay() -> None:
    one = cause("memory-limit-too-low", container="app", limit="96Mi", restarts=3)
    limits = ("No root cause could be proven with what was seen.",)
    found = Diagnosis(summary="My words.", healthy=False, root_causes=(one,), limits=limits)
    told = localized(found, "ja", own_words=True)
    assert (told.summary, told.root_causes) == (found.summary, found.root_causes)
    assert told.limits == ("見えたものからは根本原因を証明できませんでした。",)
    assert one.object == ObjectRef.parse("Deployment/shop/payments")
