// What holds a change back, and what let one through: freeze windows, the owner with its patch for Git, a broken glass.

import { fill, h, icon } from "../dom.js";
import { t, time, tOr } from "../i18n.js";

export function freeze(value) {
  if (!value) return null;
  return h("p", { class: "notice freeze" }, icon("snow"), h("span", {}, h("b", {}, t("freeze.until"), " ", time(value.until)), value.reason ? ` · ${value.reason}` : ""));
}

/** On the card for ever, in every state that follows. */
export function broken(value) {
  if (!value) return null;
  return h(
    "p", { class: "glass-broken" },
    icon("warn"),
    h("span", {}, h("b", {}, t("glass.broken", { name: value.by_name })), " ", time(value.at), h("span", { class: "outcome-words" }, value.reason)),
  );
}

/** Who would revert the change, or who keeps the object and leaves it for now; and the patch that would last. */
export function owner(value, target) {
  const named = value.kind !== "none" && value.detail;
  if (!value.reverts) {
    if (!named && !value.git_patch && !value.values_hint) return null;
    return h("div", { class: "notice owner" }, named ? h("p", {}, icon("branch"), h("span", {}, value.detail)) : null, ...lasting(value, target));
  }
  return h(
    "div", { class: "notice warn owner" },
    h("p", {}, icon("branch"), h("span", {}, t("approval.owner_reverts", { owner: `${tOr(`owner.${value.kind}`, value.kind)} ${value.name}` }), " ", value.detail)),
    value.git_patch ? lasting(value, target) : h("p", {}, t("approval.no_patch")),
  );
}

function lasting(value, target) {
  const values = value.values_hint ? h("details", { class: "values" }, h("summary", {}, "values.yaml"), h("pre", { tabindex: "0" }, value.values_hint)) : null;
  return [value.git_patch ? patch(value.git_patch, target, value.reverts) : null, values];
}

function patch(text, target, open) {
  const copy = h("button", { type: "button", class: "quiet" }, icon("copy"), t("copy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text);
    fill(copy, icon("check"), t("copied"));
  });
  const save = h("button", { type: "button", class: "quiet" }, icon("branch"), t("approval.patch_save"));
  save.addEventListener("click", () => download(text, `${target.replaceAll("/", "-").toLowerCase()}.patch.yaml`));
  return h(
    "details", { class: "patch", open },
    h("summary", {}, t("approval.git_patch")),
    h("pre", { tabindex: "0" }, text),
    h("div", { class: "buttons" }, copy, save),
  );
}

function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
