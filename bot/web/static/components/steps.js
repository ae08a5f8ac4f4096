// What the agent looked at, while it looks: one row a tool call, with the exact text that the model saw.

import { get } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { duration, t } from "../i18n.js";

const GOOD = new Set(["ok", "empty"]);

class Steps extends HTMLElement {
  rows = new Map();

  update(turn, conversation) {
    this.conversation = conversation;
    this.hidden = turn.steps.length === 0;
    if (!this.list) this.build();
    this.head.textContent = headline(turn);
    for (const step of turn.steps) this.row(step);
    for (const [index, thought] of turn.thoughts.entries()) this.thought(index, thought, turn);
  }

  build() {
    this.head = h("span", {});
    this.list = h("ol", { class: "steps" });
    this.append(h("details", { class: "trace", open: true }, h("summary", {}, this.head), this.list));
  }

  row(step) {
    let row = this.rows.get(step.call);
    if (!row) {
      row = { item: h("li", { class: "step" }), status: null, note: null };
      this.rows.set(step.call, row);
      this.list.append(row.item);
    }
    if (row.status === step.status && row.note === step.note) return;
    Object.assign(row, { status: step.status, note: step.note });
    row.item.dataset.status = step.status === "running" ? "running" : GOOD.has(step.status) ? "good" : "bad";
    fill(row.item, mark(step), step.text ? this.withText(step) : h("div", { class: "step-head" }, this.heading(step)));
  }

  heading(step) {
    return [
      h("span", { class: "step-title", title: step.title }, step.title),
      step.status === "running" && step.note ? h("span", { class: "step-note" }, step.note) : null,
      step.status === "running" || GOOD.has(step.status) ? null : h("span", { class: "step-status" }, t(`status.${step.status}`)),
      step.ms ? h("span", { class: "step-time" }, duration(step.ms)) : null,
    ];
  }

  withText(step) {
    const text = h("pre", { class: "step-text", tabindex: "0" }, step.text);
    const more = step.cutAt ? h("button", { type: "button", class: "quiet small" }, t("step.more")) : null;
    more?.addEventListener("click", async () => {
      more.disabled = true;
      const whole = await get(`/api/v1/conversations/${this.conversation}/log/${step.seq}`);
      text.textContent = whole.event.text;
      more.remove();
    });
    const cut = step.cut ? h("p", { class: "step-cut" }, step.cut) : null;
    return h("details", { class: "step-body" }, h("summary", { class: "step-head" }, this.heading(step)), text, more, cut);
  }

  /** What the model said between its calls; it is model text, so it is quiet and marked. */
  thought(index, thought, turn) {
    const key = `thought-${index}`;
    if (this.rows.has(key)) return;
    const item = h("li", { class: "step thought", "data-status": "thought" }, h("p", {}, thought.text));
    this.rows.set(key, { item });
    const before = turn.steps[thought.before] ? this.rows.get(turn.steps[thought.before].call)?.item : null;
    this.list.insertBefore(item, before ?? null);
  }
}

function mark(step) {
  if (step.status === "running") return h("span", { class: "mark spinner", role: "img", "aria-label": t("step.running") });
  return h("span", { class: "mark" }, icon(GOOD.has(step.status) ? "check" : "warn"));
}

function headline(turn) {
  const running = turn.steps.filter((s) => s.status === "running").length;
  if (running) return t("steps.running");
  const ms = turn.steps.reduce((sum, s) => sum + (s.ms ?? 0), 0);
  return t("steps.done", { n: turn.steps.length, time: duration(ms) });
}

customElements.define("ot-steps", Steps);
