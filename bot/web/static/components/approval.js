// The approval card: exactly what would run, and honest in every state. Its words come from the stored plan, never from a model.

import { fill, h, icon } from "../dom.js";
import { duration, sentences, t, time, tOr } from "../i18n.js";
import { askAgain, decideParts } from "./decide.js";
import { broken, freeze, owner } from "./holds.js";

class Approval extends HTMLElement {
  /** `view` from the API; `progress` is what the action does right now. */
  update(view, progress = "") {
    if (this.view && view.version < this.view.version) return; // an answer that was overtaken
    const key = JSON.stringify([view.version, view.state, view.decisions.length, view.you, view.freeze, view.electors]);
    this.view = view;
    if (this.key !== key) {
      this.key = key;
      this.build(view);
    }
    if (this.progress) this.progress.textContent = progress || t("approval.working");
    this.tick();
  }

  build(view) {
    this.progress = null;
    this.id = `approval-${view.id}`;
    fill(
      this,
      h(
        "article", { class: `card approval state-${view.state} risk-edge-${view.risk}`, "aria-label": `${t("approval.title")}: ${view.command_line}` },
        head(view),
        broken(view.break_glass),
        h("p", { class: "action-text" }, view.action_text),
        h("p", { class: "why" }, view.why),
        command(view.command_line),
        diff(view),
        owner(view.owner, view.target),
        facts(view),
        this.foot(view),
        h("p", { class: "origin" }, t("approval.origin", { hash: view.plan_hash.slice(0, 12) })),
      ),
    );
  }

  foot(view) {
    const foot = h("div", { class: "card-foot", "aria-live": "polite" });
    for (const d of view.decisions) foot.append(decision(d));
    if (view.state === "pending") foot.append(...this.pending(view));
    else if (view.state === "approved" || view.state === "running") foot.append(this.running(view));
    else foot.append(...settled(view));
    return foot;
  }

  pending(view) {
    this.clock = h("span", { class: "expiry" });
    const parts = [h("p", { class: "expiry-line" }, icon("clock"), this.clock), waits(view), freeze(view.freeze)];
    if (!view.four_eyes) parts.push(h("p", { class: "notice warn" }, t("approval.four_eyes_off")));
    if (view.you.refusal && !["frozen", "step_up"].includes(view.you.refusal_code)) parts.push(h("p", { class: "notice" }, refusal(view)));
    return [...parts, ...decideParts(this, view)].filter(Boolean);
  }

  running(view) {
    this.progress = h("span", {});
    return h(
      "p", { class: "outcome running" },
      h("span", { class: "mark spinner", role: "img", "aria-label": t("step.running") }),
      h("b", {}, t(`state.${view.state}`)), " ", this.progress,
      view.state === "approved" && view.freeze ? freeze(view.freeze) : null,
    );
  }

  tick() {
    if (this.view?.state !== "pending" || !this.clock) return;
    const left = Math.max(0, Math.ceil((Date.parse(this.view.expires_at) - Date.now()) / 1000));
    const words = left ? t("approval.expires", { left: `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` }) : t("approval.expiring");
    if (this.clock.textContent !== words) this.clock.textContent = words;
    for (const button of left ? [] : this.querySelectorAll(".card-foot button")) button.disabled = true;
  }
}

function head(view) {
  return h(
    "header", { class: "card-head" },
    icon("shield"),
    h("h3", {}, t("approval.title")),
    h("span", { class: `risk risk-${view.risk}` }, t(`risk.${view.risk}`)),
    h("span", { class: `state state-${view.state}` }, t(`state.${view.state}`)),
  );
}

function command(line) {
  const copy = h("button", { type: "button", class: "icon-button", "aria-label": t("copy"), title: t("copy") }, icon("copy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(line);
    fill(copy, icon("check"));
  });
  return h("div", { class: "command" }, h("code", {}, line), copy);
}

/** The diff with a class a line; the text is text. */
export function diff(view) {
  if (!view.diff) return null;
  const lines = view.diff.split("\n").filter((line, index, all) => line || index < all.length - 1);
  return h(
    "figure", { class: "diff" },
    h("pre", { tabindex: "0", "aria-label": t("approval.diff") }, h("code", {}, lines.map((line) => h("span", { class: `line ${kindOf(line)}` }, `${line}\n`)))),
    h("figcaption", {}, t(`diff.${view.diff_source}`)),
  );
}

function kindOf(line) {
  if (line.startsWith("+++") || line.startsWith("---")) return "file";
  return { "+": "added", "-": "removed", "@": "hunk" }[line[0]] ?? "same";
}

function facts(view) {
  const rows = [
    ["approval.target", [h("code", {}, view.target), ` · ${view.cluster_name}`]],
    ["approval.blast", blast(view.blast_radius)],
    ["approval.undo", view.undo_line ? [h("code", {}, view.undo_line)] : t("approval.no_undo")],
    ["approval.owner", view.owner.kind === "none" ? view.owner.detail || t("owner.none") : `${tOr(`owner.${view.owner.kind}`, view.owner.kind)} ${view.owner.name}`],
    ["approval.effect", view.expected_effect],
    ["approval.check", view.check],
    ["approval.who", who(view)],
    ["approval.requester", view.requester_name],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value?.length).map(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
}

function blast(radius) {
  const parts = [t("blast.pods", { n: radius.pods })];
  if (radius.replicas_before !== null && radius.replicas_after !== null) {
    parts.push(t("blast.replicas", { before: radius.replicas_before, after: radius.replicas_after }));
  }
  if (radius.services.length) parts.push(t("blast.services", { names: radius.services.join(", ") }));
  if (radius.budgets.length) parts.push(t("blast.budgets", { names: radius.budgets.join(", ") }));
  if (radius.note) parts.push(radius.note);
  return parts.join(" · ");
}

function who(view) {
  const { needed, role, requester_may: own, fresh_sign_in_for_last: fresh } = view.quorum;
  if (view.break_glass) return t("glass.broken", { name: view.break_glass.by_name });
  const words = [t(needed > 1 ? "who.many" : "who.one", { n: needed, role: t(`role.${role}`) })];
  if (!own) words.push(t("who.not_requester"));
  if (fresh) words.push(t("who.fresh"));
  return sentences(...words);
}

/** What is still missing, and who could give it. */
function waits(view) {
  if (!view.missing || view.cannot_run) return null;
  const words = t(view.missing > 1 ? "waits.many" : "waits.one", { n: view.missing, role: t(`role.${view.quorum.role}`) });
  const people = !view.electors ? "" : view.electors.length ? t("waits.people", { names: view.electors.join(", ") }) : t("waits.nobody");
  return h("p", { class: "waits" }, icon("people"), h("span", {}, sentences(words, people)));
}

function refusal(view) {
  if (view.you.refusal_code === "cannot_run") return t("approval.cannot_run", { why: view.cannot_run ?? view.you.refusal });
  return t("approval.would_not_count", { why: tOr(`refusal.${view.you.refusal_code}`, view.you.refusal) });
}

function decision(d) {
  return h(
    "p", { class: `decision ${d.verdict}` },
    icon(d.verdict === "approve" ? "check" : "cross"),
    h("span", {}, t(`decision.${d.verdict}`, { name: d.by_name }), " ", time(d.at), d.reason ? ` · ${d.reason}` : "",
      d.override_owner ? h("span", { class: "chip warned" }, t("approval.overridden")) : null,
      d.break_glass ? h("span", { class: "chip warned" }, t("glass.chip")) : null),
  );
}

function settled(view) {
  const took = view.started_at && view.finished_at ? Date.parse(view.finished_at) - Date.parse(view.started_at) : 0;
  const at = view.finished_at ?? view.decided_at;
  return [
    h(
      "p", { class: `outcome outcome-${view.state}` },
      icon(MARKS[view.state] ?? "cross"),
      h("span", {},
        h("b", {}, t(`state.${view.state}`)),
        view.decided_by_name && !view.finished_at ? ` · ${view.decided_by_name}` : "",
        at ? [" · ", time(at)] : null,
        took ? ` · ${t("approval.took", { time: duration(took) })}` : "",
        view.outcome ? h("span", { class: "outcome-words" }, view.outcome) : null,
        h("span", { class: "outcome-words hint" }, tOr(`ended.${view.state}`, ""))),
    ),
    view.look_at.length ? h("ul", { class: "look-at" }, view.look_at.map((line) => h("li", {}, h("code", {}, line)))) : null,
    askAgain(view),
  ].filter(Boolean);
}

const MARKS = { succeeded: "check", rolled_back: "undo", expired: "clock", superseded: "dash", cancelled: "dash", unknown: "warn" };

setInterval(() => {
  for (const card of document.querySelectorAll("ot-approval")) card.tick?.();
}, 1000);

customElements.define("ot-approval", Approval);
