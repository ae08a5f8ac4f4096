// One question and everything that came of it. Slots keep their place, so nothing jumps while the turn runs.

import { fill, h, icon } from "../dom.js";
import { duration, language, t, time, tOr } from "../i18n.js";
import { caseEnd } from "./soak.js";

class Turn extends HTMLElement {
  cards = new Map();

  update(turn, thread, conversation) {
    if (!this.main) this.build();
    this.id = `turn-${turn.id}`;
    this.question(turn);
    this.steps.update(turn, conversation);
    this.diagnosis.update(turn);
    this.charts.update(turn, conversation);
    this.limits.update(turn);
    this.answer.update(turn);
    this.approvals(turn, thread);
    this.footer(turn);
    this.usage.update(turn);
    this.feedback.update(turn, conversation);
  }

  build() {
    this.asked = h("div", { class: "asked" });
    this.steps = document.createElement("ot-steps");
    this.diagnosis = document.createElement("ot-diagnosis");
    this.charts = document.createElement("ot-charts");
    this.answer = document.createElement("ot-answer");
    this.end = h("div", { class: "turn-end" });
    this.usage = document.createElement("ot-usage");
    this.feedback = document.createElement("ot-feedback");
    this.limits = document.createElement("ot-limits");
    this.rail = h("div", { class: "rail" });
    this.main = h("div", { class: "turn-main" }, this.steps, this.diagnosis, this.charts, this.answer, this.end, this.usage, this.feedback);
    this.aside = h("div", { class: "turn-side" }, this.rail, this.limits);
    this.append(this.asked, h("div", { class: "turn-body" }, this.main, this.aside));
  }

  question(turn) {
    if (!turn.question || this.asked.childElementCount) return;
    if (turn.question.door === "action") {
      fill(this.asked, h("details", { class: "by-action" }, h("summary", {}, t("question.action"), " · ", time(turn.at)), h("p", {}, turn.question.text)));
      return;
    }
    // Below its first line, what an alert asks is the alert's own text.
    const line = turn.question.door === "alert" ? turn.question.text.indexOf("\n") : -1;
    const asked = line < 0 ? turn.question.text : turn.question.text.slice(0, line);
    const rest = line < 0 ? "" : turn.question.text.slice(line + 1);
    fill(
      this.asked,
      h("p", { class: "asked-by" }, turn.question.by_name, " · ", time(turn.at)),
      h("div", { class: "bubble" }, asked),
      rest ? h("details", { class: "by-action" }, h("summary", {}, t("question.alert")), h("p", { class: "as-told" }, rest)) : null,
      turn.question.redacted ? h("p", { class: "note asked-redacted", role: "status" }, t("question.redacted", { n: turn.question.redacted })) : null,
    );
  }

  approvals(turn, thread) {
    for (const id of turn.approvals) {
      const view = thread.approvals.get(id);
      if (!view) continue;
      if (!this.cards.has(id)) {
        this.cards.set(id, document.createElement("ot-approval"));
        this.rail.append(this.cards.get(id));
      }
      this.cards.get(id).update(view, thread.progress.get(id));
    }
  }

  footer(turn) {
    const parts = [...turn.results.map(outcome), ...turn.ends.map(caseEnd)];
    for (const note of turn.notes) parts.push(h("p", { class: `note note-${note.kind}` }, t(`note.${note.kind}`, { text: noteText(note, turn) })));
    if (turn.failure) parts.push(h("p", { class: "note note-failed", role: "alert" }, icon("warn"), tOr(`turn.failed.${turn.failure.code}`, ""), " ", turn.failure.message));
    if (turn.finished) parts.push(h("p", { class: "turn-meta" }, meta(turn)));
    if (turn.state === "queued") parts.push(h("p", { class: "note waiting" }, h("span", { class: "mark spinner" }), t("turn.queued")));
    if (turn.state === "running" && !turn.steps.some((s) => s.status === "running") && !turn.streaming) {
      parts.push(h("p", { class: "note waiting" }, h("span", { class: "mark spinner" }), turn.doing || t("turn.thinking")));
    }
    fill(this.end, parts);
  }
}

/** A case's title is the English sentence that it is found by: other readers get the diagnosis that it was made from. */
function noteText(note, turn) {
  if (note.kind !== "case" || language === "en") return note.text;
  return (turn.diagnosis ?? turn.rules)?.diagnosis.summary ?? note.text;
}

function outcome(result) {
  const good = result.state === "succeeded";
  return h(
    "p", { class: `note healed-${good ? "yes" : "no"}` },
    icon(good ? "check" : "warn"),
    h("span", {}, h("b", {}, t(`state.${result.state}`)), result.took_s ? ` · ${t("approval.took", { time: duration(result.took_s * 1000) })}` : "", " · ", result.message),
  );
}

function meta(turn) {
  const { took_ms: ms, tool_calls: tools, model_calls: models, ended_by: why } = turn.finished;
  const words = [t("turn.took", { time: duration(ms) }), t("turn.tools", { n: tools })];
  if (!turn.offline && models) words.push(t("turn.models", { n: models }));
  if (why !== "answer") words.push(t(`turn.ended.${why}`));
  return words.join(" · ");
}

customElements.define("ot-turn", Turn);
