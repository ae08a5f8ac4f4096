// The question box: a plain form that also sends without leaving the page. Enter sends, Shift+Enter breaks the line.

import { post } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

export function enhance(form, { conversation, onAsked }) {
  const text = form.elements.namedItem("text");
  const notice = form.querySelector("[data-notice]");
  const send = form.querySelector("button[type=submit]");

  async function submit() {
    const question = text.value.trim();
    if (!question || send.disabled) return;
    send.disabled = true;
    notice.hidden = true;
    const body = { text: question, client_id: crypto.randomUUID?.() ?? String(Math.random()).slice(2) };
    try {
      if (conversation) onAsked(await post(`/api/v1/conversations/${conversation}/ask`, body));
      else {
        const namespace = form.elements.namedItem("namespaces").value;
        const opened = await post("/api/v1/conversations", {
          ...body, cluster: form.elements.namedItem("cluster").value, namespaces: namespace ? [namespace] : null,
        });
        location.assign(`/c/${opened.conversation.id}`);
        return;
      }
      text.value = "";
      grow(text);
    } catch (error) {
      notice.textContent = error.message;
      notice.hidden = false;
    }
    send.disabled = false;
    text.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  text.addEventListener("input", () => grow(text));
  clusters(form);
  for (const button of document.querySelectorAll("[data-suggest]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      text.value = button.value;
      submit();
    });
  }
}

function grow(text) {
  text.rows = Math.min(8, Math.max(1, text.value.split("\n").length));
}

/** The namespaces of the chosen cluster, as far as this person sees them. */
function clusters(form) {
  const cluster = form.elements.namedItem("cluster");
  const namespaces = form.elements.namedItem("namespaces");
  if (!cluster || !namespaces) return;
  const show = () => {
    const known = (cluster.selectedOptions[0]?.dataset.namespaces ?? "").split(",").filter(Boolean);
    const chosen = namespaces.value;
    namespaces.replaceChildren(h("option", { value: "" }, t("scope.all")), ...known.map((n) => h("option", { value: n, selected: n === chosen }, n)));
  };
  cluster.addEventListener("change", show);
  show();
}
