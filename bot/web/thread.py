"""A log as turns, for the page without scripts: the same grouping that static/store.js does in the browser."""

from collections.abc import Sequence
from typing import Any

from tools.names import DIAGNOSE

View = dict[str, Any]


def turns_of(entries: Sequence[View]) -> list[View]:
    """Entries of a conversation, in order, as turns: question, steps, the best diagnosis, answer, approvals, how it ended."""
    turns: dict[str, View] = {}
    for entry in entries:
        turn = turns.setdefault(str(entry["turn"] or f"seq-{entry['seq']}"), _new_turn())
        _take(turn, entry)
    for turn in turns.values():
        turn["charts"] = turn["charts"] if turn["measured"] else []
    return list(turns.values())


def _new_turn() -> View:
    return {
        "question": None,
        "steps": [],
        "diagnosis": None,
        "answer": None,
        "offline": False,
        "approvals": [],
        "results": [],
        "usage": None,
        "ends": [],
        "state": "queued",
        "message": "",
        "measured": False,
        "charts": [],
    }


def _take(turn: View, entry: View) -> None:
    event: View = entry["event"]
    match event["type"]:
        case "user_message":
            turn["question"] = event
        case "turn_started":
            turn["state"], turn["offline"] = "running", event["offline"]
        case "tool_started":
            turn["steps"].append({"call": event["call"], "title": event["title"], "status": "running", "text": ""})
        case "tool_finished":
            for step in turn["steps"]:
                if step["call"] == event["call"]:
                    step.update(status=event["status"], text=event["text"])
            if event.get("name") == DIAGNOSE and event.get("command"):
                turn["charts"].append(f"/api/v1/conversations/{entry['conversation']}/charts/{event['command']}/0/chart.svg")
        case "diagnosis":
            turn["diagnosis"] = event
            turn["measured"] = turn["measured"] or _rests_on_metrics(event)
        case "model_message" if entry.get("tree") and (event["final"] or not event["tool_calls"]):
            turn["answer"] = entry["tree"]
        case "approval_requested" if event["approval"] not in turn["approvals"]:
            turn["approvals"].append(event["approval"])
        case "action_finished":
            turn["results"].append(event)
        case "case_ended":
            turn["ends"].append(event)
            if turn["question"] is None:
                turn["state"] = "finished"
            turn["usage"] = _usage(event)
        case "turn_finished":
            turn["state"] = "finished"
            turn["usage"] = _usage(event)
        case "turn_cancelled":
            turn["state"] = "cancelled"
        case "turn_failed":
            turn["state"], turn["message"] = "failed", event["message"]
        case _:
            pass


def _rests_on_metrics(event: View) -> bool:
    """Then the step that made it has a chart."""
    causes: list[View] = event["diagnosis"].get("root_causes", []) if event.get("stage") == "rules" else []
    return any(item["source"] == "metric" for cause in causes for item in cause["evidence"])


def _usage(event: View) -> View:
    """What the turn cost, for the words of a page."""
    inputs, outputs = int(event.get("input_tokens", 0)), int(event.get("output_tokens", 0))
    models = [str(model) for model in event.get("models", ()) if model]
    money = f" · {event['money']:.4f} {event['currency']}" if event.get("currency") else ""
    return {
        "rules_only": not models and not inputs + outputs,
        "estimated": bool(event.get("estimated")),
        "counts": {"n": f"{inputs + outputs:,}", "in": f"{inputs:,}", "out": f"{outputs:,}"},
        "rest": money + "".join(f" · {model}" for model in models),
    }
