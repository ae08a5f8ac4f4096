// What became of a fix: a line where it held, a card where it did not.

import { h, icon } from "../dom.js";
import { sentences, t, time } from "../i18n.js";

/** `end` is a case_ended event with `at`. */
export function caseEnd(end) {
  return end.end === "relapsed" && !end.later ? relapse(end) : note(end);
}

function relapse(end) {
  return h(
    "article", { class: "card relapse", role: "alert", "aria-label": t("soak.relapsed") },
    h("header", { class: "card-head" }, icon("undo"), h("h3", {}, t("soak.relapsed")), h("span", { class: "card-origin" }, time(end.at))),
    h("p", { class: "summary" }, h("code", { class: "object" }, end.object)),
    end.message ? h("p", { class: "explanation" }, end.message) : null,
    h("p", { class: "hint" }, sentences(t("soak.after", { time: span(end.after_s) }), t("soak.relapsed_next"))),
  );
}

function note(end) {
  const good = end.end === "held";
  return h(
    "p", { class: `note soak-${end.end}` },
    icon(good ? "check" : end.later ? "warn" : "clock"),
    h("span", {}, h("b", {}, t(`soak.${end.end}`)), " · ", t("soak.after", { time: span(end.after_s) }), end.message && !good && !end.later ? ` · ${end.message}` : ""),
  );
}

/** Hours and days are near enough. */
function span(seconds) {
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 90) return t("soak.minutes", { n: minutes });
  const hours = Math.round(minutes / 60);
  return hours < 48 ? t("soak.hours", { n: hours }) : t("soak.days", { n: Math.round(hours / 24) });
}
