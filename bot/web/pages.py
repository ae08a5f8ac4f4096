"""The pages and their plain forms. With scripts the forms are enhanced; without, they do the same by POST and redirect."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, authenticate, plane_of
from bot.api.approvals import Verdict, card, decide_as, seen_by, shown
from bot.api.cards import notification_view
from bot.api.conversations import NewConversation, Question, ask_in, cancel_open_turns, open_conversation
from bot.api.language import language_of, language_of_reader
from bot.api.problems import Problem
from bot.api.stream import StreamsOf
from bot.api.throttle import Door
from bot.api.views import View, cluster_view, conversation_view, entry_view
from bot.web import alerts, changes, in_slack, sign_in, slack, slack_link, usage
from bot.web.assets import asset, build
from bot.web.forms import meant
from bot.web.render import page
from bot.web.thread import turns_of
from control_plane.approvals import Approval
from control_plane.errors import NotFound
from control_plane.services import ControlPlane
from protocol.approval import ApprovalState
from protocol.events import Language

router = APIRouter(include_in_schema=False)

SIGN_INS = 30
SIGN_IN_WINDOW_S = 300
_PLAIN_LOG = 2_000
"""Entries of a thread that the page without scripts shows: the newest ones."""

Id = str
Text = Annotated[str, Form(max_length=20_000)]


def install(app: FastAPI) -> None:
    plane: ControlPlane = app.state.plane
    app.state.sign_in_door = Door("sign-in", plane.limits, SIGN_INS, SIGN_IN_WINDOW_S)
    app.include_router(sign_in.router)
    app.include_router(changes.router)
    app.include_router(alerts.router)
    app.include_router(usage.router)
    app.include_router(slack_link.router)
    app.include_router(slack.router)
    app.include_router(in_slack.router)
    app.include_router(router)


@router.get("/")
async def start(request: Request, cluster: str = "") -> Response:
    """An empty thread with suggested questions."""
    who = await authenticate(request)
    return await _chat(request, who, conversation=None, chosen=cluster)


@router.get("/c/{conversation}")
async def conversation_page(request: Request, conversation: Id) -> Response:
    who = await authenticate(request)
    found = await plane_of(request).conversations.get(conversation, who.principal)
    return await _chat(request, who, conversation=conversation_view(found), chosen=found.cluster)


@router.post("/ask")
async def ask_new(
    request: Request,
    streams: StreamsOf,
    csrf: Text = "",
    cluster: Text = "",
    namespaces: Text = "",
    text: Text = "",
    suggestion: Text = "",
) -> Response:
    who = await meant(request, csrf)
    names = namespaces.replace(",", " ").split()
    question = text or suggestion
    language = language_of(question, language_of_reader(request))
    body = NewConversation(cluster=cluster, namespaces=names or None, text=question, language=language)
    conversation, _ = await open_conversation(plane_of(request), who, body)
    streams.nudge()
    return RedirectResponse(f"/c/{conversation.id}", status_code=303)


@router.post("/c/{conversation}/ask")
async def ask_on(request: Request, conversation: Id, streams: StreamsOf, csrf: Text = "", text: Text = "") -> Response:
    who = await meant(request, csrf)
    question = Question(text=text, language=language_of(text, language_of_reader(request)))
    await ask_in(plane_of(request), who, conversation, question)
    streams.nudge()
    return RedirectResponse(f"/c/{conversation}", status_code=303)


@router.post("/c/{conversation}/stop")
async def stop(request: Request, conversation: Id, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    await cancel_open_turns(plane_of(request), who, conversation)
    return RedirectResponse(f"/c/{conversation}", status_code=303)


@router.get("/approvals")
async def inbox(request: Request) -> Response:
    who = await authenticate(request)
    plane = plane_of(request)
    found = await plane.approvals.list(who.principal, limit=100)
    language = language_of_reader(request)
    return await _with_frame(
        request,
        who,
        "approvals.html",
        page="approvals",
        waiting=await shown(plane, who, [a for a in found if a.state is ApprovalState.PENDING], language),
        others=[seen_by(a, who, language) for a in found if a.state is not ApprovalState.PENDING],
        single=None,
    )


@router.get("/usage")
async def usage_page(request: Request) -> Response:
    """What models cost, and the budgets."""
    who = await authenticate(request)
    return await _with_frame(request, who, "usage.html", page="usage", **await usage.usage_view(request, who))


@router.get("/changes")
async def changes_page(request: Request) -> Response:
    """What holds changes back: kill switches, freeze windows, break-glass."""
    who = await authenticate(request)
    return await _with_frame(request, who, "changes.html", page="changes", **await changes.changes_view(request, who))


@router.get("/slack")
async def slack_page(request: Request) -> Response:
    """Channels, people and user groups of Slack."""
    who = await authenticate(request)
    return await _with_frame(request, who, "slack.html", page="slack", **await slack.slack_view(request, who))


@router.get("/alerts")
async def alerts_page(request: Request) -> Response:
    """What fires, and what people do about it."""
    who = await authenticate(request)
    return await _with_frame(request, who, "alerts.html", page="alerts", **await alerts.alerts_view(request, who))


@router.get("/alerts/{group}")
async def alert_page(request: Request, group: Id) -> Response:
    who = await authenticate(request)
    return await _with_frame(request, who, "alerts.html", page="alerts", **await alerts.alert_view(request, who, group))


@router.get("/approvals/{approval}")
async def approval_page(request: Request, approval: Id) -> Response:
    who = await authenticate(request)
    plane = plane_of(request)
    found = await plane.approvals.get(approval, who.principal)
    view = await card(plane, who, found, language_of_reader(request))
    return await _with_frame(request, who, "approvals.html", page="approval", waiting=[], others=[], single=view)


@router.post("/approvals/{approval}/decide")
async def decide(
    request: Request,
    approval: Id,
    streams: StreamsOf,
    csrf: Text = "",
    verdict: Text = "",
    plan_hash: Text = "",
    reason: Text = "",
    override_owner: Text = "",
    break_glass: Text = "",
) -> Response:
    who = await meant(request, csrf)
    body = Verdict(
        verdict=verdict,
        plan_hash=plan_hash,
        reason=reason,
        override_owner=override_owner == "yes",
        break_glass=break_glass == "yes",
    )
    decided = await decide_as(plane_of(request), who, approval, body)
    streams.nudge()
    return RedirectResponse(f"/c/{decided.conversation}" if decided.conversation else f"/approvals/{approval}", status_code=303)


@router.get("/static/{version}/{path:path}")
async def static(version: str, path: str) -> Response:
    """A page from before an update asks for the old digest: it gets the new file, uncached."""
    response = asset(path)
    if version != build():
        response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/favicon.ico")
async def favicon() -> Response:
    return asset("icon.svg")


async def problem_page(request: Request, problem: Problem) -> Response:
    """A problem for a person. Not signed in means: sign in, then go on where you wanted to be."""
    if problem.status == 401:
        wanted = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/sign-in?next_path={quote(wanted)}", status_code=303)
    return page(request, "problem.html", status=problem.status, page="problem", problem=problem, csrf="", me=None)


async def _chat(request: Request, who: Caller, *, conversation: View | None, chosen: str) -> Response:
    plane = plane_of(request)
    turns: list[View] = []
    approvals: dict[str, View] = {}
    there: View | None = None
    about: View | None = None
    if conversation is not None:
        about = await alerts.group_of(request, who, str(conversation["id"]))
        there = await in_slack.in_slack(request, who, str(conversation["id"]))
        after = max(0, int(conversation["last_seq"]) - _PLAIN_LOG)
        entries = await plane.conversations.log(str(conversation["id"]), after=after, limit=_PLAIN_LOG)
        language = language_of_reader(request)
        turns = turns_of([entry_view(e, preview=True, language=language) for e in entries])
        approvals = await _approvals_of(plane, who, turns, language)
    return await _with_frame(
        request, who, "chat.html", page="chat", conversation=conversation, chosen=chosen, turns=turns, approvals=approvals,
        in_slack=there, alert=about,
    )  # fmt: skip


async def _approvals_of(plane: ControlPlane, who: Caller, turns: list[View], language: Language) -> dict[str, View]:
    found: list[Approval] = []
    for approval in [a for turn in turns for a in turn["approvals"]]:
        try:
            found.append(await plane.approvals.get(approval, who.principal))
        except NotFound:
            continue
    return {str(view["id"]): view for view in await shown(plane, who, found, language)}


async def _with_frame(request: Request, who: Caller, template: str, **values: Any) -> Response:
    """A page with the side bar: conversations, the inbox's count, who is signed in."""
    plane = plane_of(request)
    conversations, _ = await plane.conversations.list(who.principal, limit=50)
    pending = await plane.approvals.list(who.principal, states=(ApprovalState.PENDING,), limit=50)
    clusters = await plane.fleet.list(who.principal)
    return page(
        request,
        template,
        me=who.principal,
        csrf=who.session.csrf,
        model=str(request.app.state.runtime.model_name),
        conversations=[conversation_view(c) for c in conversations],
        clusters=[cluster_view(c) for c in clusters],
        scopes={c.id: who.principal.scope_limit(c.id).namespaces for c in clusters},
        pending=len(pending),
        notifications=[notification_view(n) for n in await plane.notifications.unseen(who.principal)],
        **values,
    )
