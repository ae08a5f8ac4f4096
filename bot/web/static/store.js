// The log as turns: a pure fold. Every surface can be built again from the log alone, so nothing else is kept.

export function emptyThread() {
  return { turns: new Map(), approvals: new Map(), progress: new Map() };
}

/** Take one log entry. Gives the turn that changed. */
export function take(thread, entry) {
  const turn = turnOf(thread, entry.turn ?? `seq-${entry.seq}`);
  STEPS[entry.event.type]?.(turn, entry.event, entry, thread);
  if (!(entry.event.type in STEPS)) turn.notes.push({ kind: "unknown", text: entry.event.kind ?? entry.event.type, at: entry.at });
  return turn;
}

/** Take a text delta. A gap (we came late) shows what there is; the log brings the whole message. */
export function takeDelta(thread, delta) {
  const turn = turnOf(thread, delta.turn);
  if (turn.state !== "queued" && turn.state !== "running") return turn;
  const text = delta.offset === 0 ? delta.text : turn.streaming.slice(0, delta.offset) + delta.text;
  if (!turn.written.startsWith(text)) turn.streaming = text; // else a late piece of the message that the log has brought
  return turn;
}

/** What a tool or an action does right now. */
export function takeProgress(thread, progress) {
  if (progress.approval) thread.progress.set(progress.approval, progress.note);
  if (!progress.turn) return null;
  const turn = turnOf(thread, progress.turn);
  const step = turn.steps.find((s) => s.call === progress.call);
  if (step) step.note = progress.note;
  else if (!progress.call) turn.doing = progress.note;
  return turn;
}

export function isBusy(thread) {
  return [...thread.turns.values()].some((turn) => turn.state === "queued" || turn.state === "running");
}

function turnOf(thread, id) {
  if (!thread.turns.has(id)) {
    thread.turns.set(id, {
      id, question: null, at: null, state: "queued", model: "", offline: false, steps: [], rules: null, diagnosis: null,
      thoughts: [], answer: null, streaming: "", written: "", approvals: [], results: [], ends: [], notes: [], finished: null, failure: null,
    });
  }
  return thread.turns.get(id);
}

const STEPS = {
  user_message(turn, event, entry) {
    turn.question = event;
    turn.at = entry.at;
  },
  turn_started(turn, event) {
    turn.state = "running";
    turn.model = event.model;
    turn.offline = event.offline;
  },
  tool_started(turn, event) {
    if (!turn.steps.some((s) => s.call === event.call)) turn.steps.push({ call: event.call, name: event.name, title: event.title, status: "running" });
  },
  tool_finished(turn, event, entry) {
    const step = turn.steps.find((s) => s.call === event.call) ?? addStep(turn, event);
    Object.assign(step, { status: event.status, text: event.text, ms: event.duration_ms, cut: event.cut, note: "", seq: entry.seq, cutAt: entry.cut_at, command: event.command });
  },
  model_message(turn, event, entry) {
    turn.doing = "";
    turn.streaming = "";
    turn.written = event.text;
    const message = { tree: entry.tree, text: event.text, offline: event.offline };
    if (event.tool_calls.length && !event.final) {
      if (event.text.trim()) turn.thoughts.push({ ...message, before: turn.steps.length });
    } else turn.answer = message;
  },
  diagnosis(turn, event) {
    if (event.stage === "rules") turn.rules = event;
    else turn.diagnosis = event;
  },
  approval_requested(turn, event) {
    if (!turn.approvals.includes(event.approval)) turn.approvals.push(event.approval);
  },
  approval_decided() {},
  action_started() {},
  action_finished(turn, event, entry) {
    turn.results.push({ ...event, at: entry.at });
  },
  case_stored(turn, event) {
    turn.notes.push({ kind: "case", text: event.title });
  },
  case_ended(turn, event, entry, thread) {
    if (!turn.question) turn.state = "finished"; // an entry of its own, not the end of a question
    turn.ends.push({ ...event, at: entry.at });
    for (const fixed of thread.turns.values()) {
      // Where it says "healed", it also says that it did not stay so.
      if (fixed !== turn && fixed.approvals.includes(event.approval)) fixed.ends.push({ ...event, at: entry.at, later: true });
    }
  },
  turn_resumed(turn) {
    turn.notes.push({ kind: "resumed", text: "" });
  },
  turn_cancelled(turn, event) {
    end(turn, "cancelled");
    turn.notes.push({ kind: "cancelled", text: event.by_name });
  },
  turn_finished(turn, event) {
    end(turn, "finished");
    turn.finished = event;
  },
  turn_failed(turn, event) {
    end(turn, "failed");
    turn.failure = event;
  },
};

function addStep(turn, event) {
  const step = { call: event.call, name: event.name, title: event.name };
  turn.steps.push(step);
  return step;
}

function end(turn, state) {
  turn.state = state;
  turn.streaming = "";
  for (const step of turn.steps) if (step.status === "running") step.status = "interrupted";
}
