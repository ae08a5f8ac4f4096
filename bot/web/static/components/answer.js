// Model text, in a region of its own: it can't look like a card, a button or the page's own words.

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { render } from "../markdown.js";

class Answer extends HTMLElement {
  update(turn) {
    this.hidden = !turn.answer && !turn.streaming;
    if (this.hidden) return;
    if (!this.body) {
      this.label = h("p", { class: "answer-label" });
      this.body = h("div", { class: "answer-body" });
      this.append(h("section", { class: "answer", "aria-label": t("answer.label") }, this.label, this.body));
    }
    if (turn.streaming) this.stream(turn);
    else if (this.shown !== turn.answer) this.whole(turn);
  }

  stream(turn) {
    this.shown = null;
    this.label.textContent = t("answer.writing", { model: turn.model || t("answer.model") });
    if (!this.plain?.isConnected) {
      this.plain = h("p", { class: "streaming" });
      fill(this.body, this.plain);
    }
    this.plain.textContent = turn.streaming;
  }

  whole(turn) {
    this.shown = turn.answer;
    const offline = turn.answer.offline || turn.offline;
    this.label.textContent = offline ? t("answer.offline") : t("answer.by", { model: turn.model });
    fill(this.body, render(turn.answer.tree ?? [turn.answer.text]));
  }
}

customElements.define("ot-answer", Answer);
