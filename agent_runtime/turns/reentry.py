"""After a crash: each tool call that had started gets an end, from what the log holds of it, so that nothing runs twice."""

from agent_runtime.models.view import INTERRUPTED
from agent_runtime.turns.recorder import Recorder
from agent_runtime.turns.turn_log import LoggedCall
from control_plane.services import ControlPlane
from tools.answer import ToolAnswer
from tools.names import DIAGNOSE, PROPOSE, REPORT
from tools.propose import proposed
from tools.reads import diagnosis_answer

_WORDS = "Opsthread was restarted while this ran, and its result is not known. A read may be asked again once."
_MAYBE_PROPOSED = "Opsthread was restarted while this ran. Proposing the same again is safe: it gives the same approval."


async def settle(plane: ControlPlane, recorder: Recorder) -> None:
    for call in recorder.state.interrupted:
        recorder.finish(call, await _end_of(plane, call))


async def _end_of(plane: ControlPlane, call: LoggedCall) -> ToolAnswer:
    title = call.started.title if call.started else call.name
    if call.name == PROPOSE and call.approval:
        return proposed(title, await plane.approvals.get(call.approval))
    if call.name == DIAGNOSE and call.diagnosis:
        return diagnosis_answer(title, call.diagnosis)
    if call.name == REPORT and call.diagnosis:
        return ToolAnswer(title, note="Recorded. Opsthread was restarted meanwhile; answer now.", diagnosis=call.diagnosis)
    return ToolAnswer(title, INTERRUPTED, note=_MAYBE_PROPOSED if call.name == PROPOSE else _WORDS)
