// Charts of a turn: the series behind its metric evidence, and each range that was queried. Pictures are images of their own
// address, so nothing in a label can become markup; the same values stand in a table below.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { language, t, time } from "../i18n.js";

const GOOD = new Set(["ok", "empty"]);
const MOST = 4; // charts that are open at once; further ones are folded away
const dark = matchMedia("(prefers-color-scheme: dark)");

class Charts extends HTMLElement {
  asked = new Map(); // command to its figures, in the order of the steps

  update(turn, conversation) {
    for (const step of turn.steps) {
      if (!step.command || !GOOD.has(step.status) || this.asked.has(step.command) || !mayHave(step, turn)) continue;
      this.asked.set(step.command, []);
      get(`/api/v1/conversations/${conversation}/charts/${step.command}`)
        .then(({ charts }) => this.take(step.command, charts))
        .catch(() => {}); // the values stand in the step and in the evidence
    }
    this.hidden = this.childElementCount === 0;
  }

  take(command, charts) {
    this.asked.set(command, charts.map(figure));
    const all = [...this.asked.values()].flat();
    const rest = all.slice(MOST);
    fill(this, all.slice(0, MOST), rest.length ? h("details", { class: "more" }, h("summary", {}, t("chart.more", { n: rest.length })), rest) : null);
    this.hidden = all.length === 0;
  }
}

/** A diagnosis has charts where it rests on metrics; a query has one where it was over time, and is not drawn a second time when
 * the diagnosis rests on it. The server has the last word. */
function mayHave(step, turn) {
  const quoted = (turn.rules?.diagnosis.root_causes ?? []).flatMap((cause) => cause.evidence.filter((item) => item.source === "metric"));
  if (step.name === "diagnose") return quoted.length > 0;
  return step.name === "prometheus" && !quoted.some((item) => item.field && step.title.startsWith(item.field));
}

function figure(chart) {
  const image = h("img", { class: "chart-image", alt: chart.alt, width: 880, height: 374, decoding: "async" });
  const show = () => (image.src = `${chart.svg}?theme=${theme()}&lang=${language}`);
  show();
  watchers.add(new WeakRef(Object.assign(image, { show })));
  return h(
    "figure", { class: "card chart" },
    image,
    h("figcaption", { class: "hint" }, chart.note ? `${chart.note} · ` : "", h("a", { href: `${chart.png}?lang=${language}`, download: "chart.png" }, t("chart.png"))),
    h("details", { class: "chart-values" }, h("summary", {}, t("chart.values")), table(chart)),
  );
}

function table(chart) {
  const head = ["chart.series", "chart.first", "chart.min", "chart.max", "chart.last"].map((key) => h("th", { scope: "col" }, t(key)));
  const rows = chart.rows.map((row) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, row.label)), [row.first, row.min, row.max, row.last].map((value) => h("td", {}, value))));
  const marks = chart.marks.length ? h("ol", { class: "chart-marks" }, chart.marks.map((mark) => h("li", {}, time(mark.at), " ", h("code", {}, mark.label)))) : null;
  const left = chart.left_out ? h("p", { class: "hint" }, t("chart.left_out", { n: chart.left_out })) : null;
  return h("div", { class: "chart-table", tabindex: "0" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)), marks, left);
}

function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : dark.matches ? "dark" : "light";
}

/** Images that are on the page, so that they change with the theme. */
const watchers = new Set();

function again() {
  for (const watcher of watchers) {
    const image = watcher.deref();
    if (image) image.show();
    else watchers.delete(watcher);
  }
}

new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
dark.addEventListener("change", again);

customElements.define("ot-charts", Charts);
