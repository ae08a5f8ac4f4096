"""Tokens, money and budgets as a page: everybody sees their own; who administers something sets its budget there."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, plane_of
from bot.api.usage import NewBudget, set_budget
from bot.web.forms import meant
from control_plane.errors import Invalid
from control_plane.usage import BudgetLine, UsageLine, administers
from protocol.text import one_line

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=200)]


async def usage_view(request: Request, who: Caller) -> dict[str, Any]:
    """What the page shows this person, and whose budgets they may set."""
    plane = plane_of(request)
    usage = await plane.usage.read(who.principal)
    clusters = [c.name for c in await plane.fleet.list(who.principal) if administers(who.principal, "cluster", c.id)]
    people = [account.name for account in await plane.accounts.list()] if who.principal.admin else []
    return {
        "usage": usage,
        "lines": [_line(line) for line in usage.lines],
        "budgets": [_budget(line) for line in usage.budgets],
        "whose": [f"cluster:{name}" for name in clusters] + [f"person:{name}" for name in people],
        "everything": who.principal.admin,
    }


@router.post("/usage/budget")
async def set_from_form(
    request: Request, csrf: Text = "", whose: Text = "", period: Text = "day", tokens: Text = "", money: Text = ""
) -> Response:
    """Both empty takes the budget back to the configured one."""
    who = await meant(request, csrf)
    kind, _, subject = whose.partition(":")
    limits = {"tokens": _number(tokens), "money": _number(money)}
    body = NewBudget.model_validate(
        {"kind": kind, "subject": subject, "period": period, **limits, "configured": limits == {"tokens": None, "money": None}}
    )
    await set_budget(body, who, plane_of(request))
    return RedirectResponse("/usage", status_code=303)


def _number(text: str) -> float | None:
    text = text.replace(",", "").strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise Invalid(f"{one_line(text, 40)!r} is no number") from None


def _line(line: UsageLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "name": line.name,
        "period": line.period,
        "calls": f"{line.calls:,}",
        "tokens": f"{line.tokens:,}",
        "money": f"{line.money:.4f}" if 0 < line.money < 0.1 else f"{line.money:.2f}",
        "tokens_of": "" if line.budget.tokens is None else f"{line.budget.tokens:,}",
        "money_of": "" if line.budget.money is None else f"{line.budget.money:.2f}",
        "used_up": _used_up(line),
    }


def _used_up(line: UsageLine) -> bool:
    over = line.budget.tokens is not None and line.tokens >= line.budget.tokens
    return over or (line.budget.money is not None and line.money >= line.budget.money)


def _budget(line: BudgetLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "name": "" if line.subject == "*" else line.name,
        "period": line.period,
        "tokens": "" if line.budget.tokens is None else f"{line.budget.tokens:,}",
        "money": "" if line.budget.money is None else f"{line.budget.money:.2f}",
        "configured": not line.set_by,
    }
