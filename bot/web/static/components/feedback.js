// Under each answer: was it right? Who says no can say what it was. One word a person and answer; the last one stands.

import { get, post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { language, t } from "../i18n.js";

const GROUPS = ["container", "image", "configuration", "network", "storage", "scheduling", "workload"];

/** What this person has said in the conversation, asked for once a page; and the catalogue, once somebody says "wrong". */
let said = null;
let causes = null;

function mine(conversation) {
  said ??= get(`/api/v1/conversations/${conversation}/feedback`)
    .then((body) => new Map(body.feedback.map((one) => [one.turn, one])))
    .catch(() => new Map());
  return said;
}

function catalogue() {
  causes ??= get("/api/v1/root-causes").then((body) => body.root_causes.filter((cause) => cause.root));
  causes.catch(() => (causes = null));
  return causes;
}

class Feedback extends HTMLElement {
  update(turn, conversation) {
    const asked = turn.question && turn.question.door !== "action";
    this.hidden = !(asked && turn.state === "finished" && (turn.answer || turn.diagnosis || turn.rules));
    if (this.hidden || this.bar) return;
    this.path = `/api/v1/conversations/${conversation}/turns/${turn.id}/feedback`;
    this.build(turn);
    mine(conversation).then((all) => all.has(turn.id) && this.show(all.get(turn.id)));
  }

  build(turn) {
    this.id = `feedback-${turn.id}`;
    this.right = choice("right", "check", () => this.send({ verdict: "right" }));
    this.wrong = choice("wrong", "cross", () => this.open());
    this.notice = h("p", { class: "feedback-note", role: "status", hidden: true });
    this.bar = h(
      "div", { class: "feedback-bar", role: "group", "aria-labelledby": `${this.id}-ask` },
      h("span", { id: `${this.id}-ask` }, t("feedback.ask")), this.right, this.wrong,
    );
    this.form = h("form", { class: "feedback-form", hidden: true });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send({ verdict: "wrong", actual: this.picker.value, note: this.note.value });
    });
    this.append(this.bar, this.form, this.notice);
  }

  async open() {
    if (!this.form.hidden) return this.close();
    this.wrong.setAttribute("aria-expanded", "true");
    if (!this.picker) await this.buildForm();
    this.form.hidden = false;
    this.picker.focus({ preventScroll: true });
    this.form.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.form.hidden = true;
    this.wrong.setAttribute("aria-expanded", "false");
  }

  async buildForm() {
    const id = this.id;
    this.picker = h("select", { id: `${id}-cause`, class: "feedback-cause" }, h("option", { value: "" }, t("feedback.no_cause")));
    this.note = h("textarea", { id: `${id}-note`, rows: "2", maxlength: "1000", placeholder: t("feedback.note_hint") });
    this.submit = h("button", { type: "submit", class: "primary small" }, t("feedback.send"));
    const cancel = h("button", { type: "button", class: "quiet small" }, t("feedback.cancel"));
    cancel.addEventListener("click", () => this.close());
    fill(
      this.form,
      h("label", { for: `${id}-cause` }, t("feedback.cause")), this.picker,
      h("label", { for: `${id}-note` }, t("feedback.note")), this.note,
      h("p", { class: "hint" }, t("feedback.redacted")),
      h("div", { class: "buttons" }, this.submit, cancel),
    );
    try {
      for (const group of groups(await catalogue())) this.picker.append(group);
      if (this.actual) this.picker.value = this.actual;
    } catch (error) {
      this.tell(error.message);
    }
  }

  async send(word) {
    for (const button of this.buttons()) button.disabled = true;
    try {
      const given = await post(this.path, word);
      this.close();
      this.show(given);
      this.tell(t(given.counted ? "feedback.counted" : "feedback.kept"));
    } catch (error) {
      this.tell(error.message);
    } finally {
      for (const button of this.buttons()) button.disabled = false;
    }
  }

  buttons() {
    return [this.right, this.wrong, ...(this.submit ? [this.submit] : [])];
  }

  show(given) {
    this.actual = given.actual;
    this.right.setAttribute("aria-pressed", String(given.verdict === "right"));
    this.wrong.setAttribute("aria-pressed", String(given.verdict === "wrong"));
    if (this.picker) this.picker.value = given.actual;
    if (this.note) this.note.value = given.note;
  }

  tell(words) {
    this.notice.textContent = words;
    this.notice.hidden = false;
  }
}

function choice(verdict, image, act) {
  const button = h("button", { type: "button", class: `quiet small feedback-${verdict}`, "aria-pressed": "false" }, icon(image), t(`feedback.${verdict}`));
  if (verdict === "wrong") button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", act);
  return button;
}

function groups(all) {
  const order = new Intl.Collator(language);
  return GROUPS.map((name) => {
    const rows = all.filter((cause) => cause.group === name).sort((a, b) => order.compare(a.title, b.title));
    return h("optgroup", { label: t(`feedback.group.${name}`) }, rows.map((cause) => h("option", { value: cause.code }, cause.title)));
  }).filter((group) => group.childElementCount);
}

customElements.define("ot-feedback", Feedback);
