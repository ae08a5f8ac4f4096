// What an answer cost, and, for administrators, what the model saw: the requests as they were sent, byte for byte.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { language, t } from "../i18n.js";

const count = new Intl.NumberFormat(language);
const admin = document.body.dataset.admin === "true";

class Usage extends HTMLElement {
  update(turn) {
    this.hidden = !turn.finished;
    if (!turn.finished || this.shown === turn.finished) return;
    this.shown = turn.finished;
    const asked = turn.finished.models?.some(Boolean) || turn.finished.why;
    fill(this, h("p", { class: "usage-line" }, line(turn.finished)), admin && asked ? this.requests(turn.id) : null);
  }

  requests(turn) {
    const list = h("ol", { class: "sent-list" });
    const box = h("details", { class: "sent", ontoggle: () => box.open && !list.childElementCount && this.list(turn, list) }, h("summary", {}, t("usage.saw")), h("p", { class: "hint" }, t("usage.audited")), list);
    return box;
  }

  async list(turn, list) {
    try {
      const { requests } = await get(`/api/v1/turns/${turn}/requests`);
      fill(list, requests.length ? requests.map((request) => this.request(turn, request)) : h("li", {}, t("usage.nothing")));
    } catch (error) {
      fill(list, h("li", { class: "note-failed", role: "alert" }, error.message));
    }
  }

  request(turn, request) {
    const path = `/api/v1/turns/${turn}/requests/${request.id}`;
    const head = [request.model, t("usage.bytes", { n: count.format(request.size) }), request.outcome].join(" · ");
    const digest = h("p", { class: "hint" }, request.endpoint, h("br"), "SHA-256 ", h("code", {}, request.sha256));
    if (!request.kept) return h("li", {}, h("p", {}, head), digest, h("p", { class: "hint" }, t("usage.not_kept")));
    const text = h("pre", { class: "sent-bytes", tabindex: "0" });
    const box = h("details", { ontoggle: () => box.open && !text.textContent && this.bytes(path, text) }, h("summary", {}, head), digest, h("p", {}, h("a", { href: path, download: true }, t("usage.download"))), text);
    return h("li", {}, box);
  }

  async bytes(path, place) {
    place.textContent = t("turn.thinking");
    try {
      const answer = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(30_000) });
      place.textContent = answer.ok ? await answer.text() : t("usage.not_kept");
    } catch {
      place.textContent = t("error.unreachable");
    }
  }
}

/** For example: 3,410 tokens (3,200 in, 210 out) · 0.0012 USD · gpt-5-mini */
function line(end) {
  const tokens = end.input_tokens + end.output_tokens;
  const models = (end.models ?? []).map((model) => model || t("usage.rules"));
  if (!tokens && !end.models?.some(Boolean)) return t("usage.none");
  const values = { n: count.format(tokens), in: count.format(end.input_tokens), out: count.format(end.output_tokens) };
  const parts = [t(end.estimated ? "usage.about" : "usage.tokens", values)];
  if (end.currency) parts.push(`${money(end.money)} ${end.currency}`);
  return [...parts, models.join(" → ")].join(" · ");
}

function money(amount) {
  const digits = amount > 0 && amount < 0.1 ? 4 : 2;
  return amount.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

customElements.define("ot-usage", Usage);
