"""`opsthread diagnose --dump DIR`: the engine over a support bundle, in one process, with no server."""

import json
from pathlib import Path

from rich.console import Console

from bot.cli.cards import diagnosis_panel
from bot.cli.exits import Exit
from knowledge.diagnosis.engine import diagnose
from knowledge.dump import NoDump, load_dump
from knowledge.remedies import recommend
from protocol.commands import Diagnose
from protocol.objects import ObjectRef


def run(folder: Path, *, target: str | None, namespace: str | None, as_json: bool, explain: bool) -> Exit:
    """Print the diagnosis of a dump. Exit 2 when the folder is no dump or the target is no object name."""
    console = Console(stderr=True)
    try:
        view = load_dump(folder)
    except (NoDump, OSError) as error:
        console.print(f"{folder} can't be read as a cluster dump: {error}", style="red", markup=False)
        return Exit.USAGE
    try:
        object_ref = ObjectRef.parse(target) if target and target.count("/") == 2 else None
    except ValueError:
        console.print(f"{target!r} is not Kind/namespace/name", style="red", markup=False)
        return Exit.USAGE
    words = (target,) if target and object_ref is None else ()
    request = Diagnose(target=object_ref, words=words, namespace=namespace, explain=explain)
    diagnosis = diagnose(view, request)
    diagnosis = diagnosis.model_copy(update={"recommendations": recommend(diagnosis)})
    if as_json:
        print(json.dumps(diagnosis.model_dump(mode="json"), ensure_ascii=False, indent=2))
    else:
        Console().print(diagnosis_panel(diagnosis, stage="rules", took_ms=0, explain=explain))
        for item in diagnosis.recommendations:
            Console().print(f"→ {item.why}", markup=False)
    return Exit.ANSWERED
