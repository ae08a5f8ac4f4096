// The diagnosis: root cause, the evidence it rests on word for word, what was checked and what could not be seen.

import { fill, h, icon } from "../dom.js";
import { duration, sentences, share, t, time, tOr } from "../i18n.js";

const SHOWN = 5; // pieces of evidence before "more"
const SHORT = 48; // characters that fit beside their source

class Diagnosis extends HTMLElement {
  update(turn) {
    const shown = turn.diagnosis ?? turn.rules;
    this.hidden = !shown;
    if (!shown || this.shown === shown) return;
    this.shown = shown;
    fill(this, card(shown, turn), turn.diagnosis && turn.rules ? earlier(turn) : null);
  }
}

/** Beside the card on a wide page: how far the answer can be trusted. */
class Limits extends HTMLElement {
  update(turn) {
    const shown = turn.diagnosis ?? turn.rules;
    if (!shown || this.shown === shown) return;
    this.shown = shown;
    const { checked, limits, similar_cases: cases } = shown.diagnosis;
    fill(
      this,
      section("diagnosis.checked", checked, (line) => h("li", {}, line)),
      section("diagnosis.limits", limits, (line) => h("li", {}, line)),
      section("diagnosis.cases", cases, similar),
    );
    this.hidden = this.childElementCount === 0;
  }
}

function card(event, turn) {
  const { diagnosis } = event;
  const proven = event.verdict === "root_cause";
  const verdict = diagnosis.root_causes.length ? (proven ? "found" : "possible") : diagnosis.healthy ? "healthy" : "unknown";
  const noFix = event.no_safe_fix ?? (proven && turn.rules?.no_safe_fix && !turn.approvals.length);
  return h(
    "article", { class: `card diagnosis verdict-${verdict}`, "aria-label": t(`diagnosis.${verdict}`) },
    h(
      "header", { class: "card-head" },
      icon(verdict === "healthy" ? "check" : "warn"),
      h("h3", {}, t(`diagnosis.${verdict}`)),
      h("span", { class: "card-origin" }, origin(event, turn)),
    ),
    h("p", { class: "summary" }, diagnosis.summary),
    diagnosis.root_causes.map((cause) => rootCause(cause, diagnosis.summary)),
    noFix ? h("p", { class: "note no-safe-fix" }, icon("warn"), t("diagnosis.no_safe_fix")) : null,
    recommendations(diagnosis.recommendations),
    event.dropped_evidence ? h("p", { class: "hint" }, t("diagnosis.dropped", { n: event.dropped_evidence })) : null,
  );
}

function origin(event, turn) {
  const took = event.took_ms ? ` · ${duration(event.took_ms)}` : "";
  if (event.stage === "rules") return t("diagnosis.by_rules") + took;
  return (turn.offline ? t("diagnosis.by_rules") : t("diagnosis.by_model", { model: turn.model })) + took;
}

function earlier(turn) {
  return h(
    "details", { class: "earlier" },
    h("summary", {}, t("diagnosis.rules_said")),
    h("p", {}, turn.rules.diagnosis.summary),
    h("ul", {}, turn.rules.diagnosis.root_causes.map((c) => h("li", {}, h("code", {}, c.code), " ", c.explanation))),
  );
}

function rootCause(cause, summary) {
  return h(
    "section", { class: "cause" },
    h(
      "div", { class: "cause-head" },
      h("code", { class: "object" }, cause.object),
      h("code", { class: "chip" }, cause.code),
      confidence(cause.confidence),
    ),
    summary.includes(cause.explanation) ? null : h("p", { class: "explanation" }, cause.explanation),
    cause.evidence.length ? h("h4", {}, t("diagnosis.evidence")) : null,
    h("ul", { class: "evidence" }, cause.evidence.slice(0, SHOWN).map(evidence)),
    more(cause.evidence.slice(SHOWN)),
  );
}

function more(rest) {
  if (!rest.length) return null;
  return h("details", { class: "more" }, h("summary", {}, t("diagnosis.more", { n: rest.length })), h("ul", { class: "evidence" }, rest.map(evidence)));
}

function confidence(value) {
  const word = value >= 0.85 ? "high" : value >= 0.6 ? "medium" : "low";
  const level = Math.round(value * 10);
  return h(
    "span", { class: `confidence level-${word}` },
    h("span", { class: "bar", "aria-hidden": "true" }, h("span", { class: `fill fill-${level}` })),
    t(`confidence.${word}`), " ", h("b", {}, share(value)),
  );
}

function evidence(item) {
  const short = item.excerpt.length <= SHORT && !item.excerpt.includes("\n");
  return h(
    "li", { class: short ? "short" : null },
    h(
      "div", { class: "evidence-head" },
      h("span", { class: `source source-${item.source}` }, tOr(`source.${item.source}`, item.source)),
      h("code", { class: "object" }, item.object),
      item.field ? h("code", { class: "field" }, item.field) : null,
      item.at ? time(item.at) : null,
    ),
    h("pre", { class: "excerpt", tabindex: short ? null : "0" }, item.excerpt),
    short && item.source === "metric" ? bytes(item) : null,
  );
}

/** A sample in bytes, in words beside it: the excerpt itself stays as it was read. */
function bytes(item) {
  const value = Number(item.excerpt);
  if (!/bytes/.test(item.field ?? "") || !(value >= 1024)) return null;
  const power = Math.min(4, Math.floor(Math.log2(value) / 10));
  return h("span", { class: "hint" }, `≈ ${(value / 1024 ** power).toFixed(power > 2 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`);
}

function recommendations(items) {
  if (!items.length) return null;
  return h(
    "section", { class: "recommendations" },
    h("h4", {}, t("diagnosis.recommendations")),
    h("ol", {}, items.map((item) => h(
      "li", {},
      h("p", {}, h("b", {}, item.action_text), " ", h("span", { class: `risk risk-${item.risk}` }, t(`risk.${item.risk}`))),
      h("p", { class: "hint" }, sentences(item.why, item.expected_effect)),
    ))),
  );
}

function section(key, items, each) {
  return items?.length ? h("section", { class: "rail-notes" }, h("h4", {}, t(key)), h("ul", {}, items.map(each))) : null;
}

function similar(item) {
  return h(
    "li", {},
    h("b", {}, item.title), ` · ${share(item.score)} · `,
    h("span", { class: `case-outcome case-${item.outcome}` }, t(`outcome.${item.outcome}`)), " ",
    item.id.startsWith("seed.") ? h("span", { class: "case-seed", title: t("case.seed_title") }, t("case.seed")) : null,
    item.fix ? h("p", { class: "hint" }, item.fix) : null,
  );
}

customElements.define("ot-diagnosis", Diagnosis);
customElements.define("ot-limits", Limits);
