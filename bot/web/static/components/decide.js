// The part of the card that decides: approve, reject with a reason, run although the owner reverts it, break the glass.
// What may not be used is not there; what is asked twice says why.

import { post } from "../api.js";
import { h, icon } from "../dom.js";
import { t, tOr } from "../i18n.js";

/** The controls of a pending card for this person. `card` is the component: it takes the answer. */
export function decideParts(card, view) {
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const send = sender(card, view, notice);
  const parts = [];
  if (view.you.step_up && !view.you.may_approve && !view.you.may_break_glass) parts.push(stepUp(view));
  if (view.you.may_approve || view.you.may_reject) parts.push(buttons(view, send, notice));
  if (view.you.may_break_glass) parts.push(glass(view, send));
  parts.push(notice);
  return parts;
}

/** A second click finds the buttons disabled; a second request finds the decision made. */
function sender(card, view, notice) {
  return async (body, controls) => {
    const enabled = controls.filter((control) => !control.disabled);
    for (const control of enabled) control.disabled = true;
    notice.hidden = true;
    try {
      card.update(await post(`/api/v1/approvals/${view.id}/decide`, { plan_hash: view.plan_hash, ...body }));
    } catch (error) {
      notice.textContent = tOr(`refusal.${error.code}`, error.detail || error.message);
      notice.hidden = false;
      for (const control of enabled) control.disabled = false;
    }
  };
}

function buttons(view, send, notice) {
  const reason = h("input", { type: "text", class: "reason", maxlength: "1000", "aria-label": t("approval.reason"), placeholder: t("approval.reason") });
  const overrides = view.owner.reverts && view.you.may_approve;
  const tick = overrides ? h("input", { type: "checkbox", class: "override" }) : null;
  const approve = h("button", { type: "button", class: "primary" }, t("approval.approve"));
  const words = view.you.may_withdraw && !view.you.may_approve ? t("approval.withdraw") : t("approval.reject");
  const reject = h("button", { type: "button", class: "quiet danger" }, words);
  if (tick) {
    const ready = () => (approve.disabled = !(tick.checked && reason.value.trim()));
    for (const control of [tick, reason]) control.addEventListener("input", ready);
    ready();
  }
  approve.addEventListener("click", () => send({ verdict: "approve", reason: reason.value, override_owner: Boolean(tick?.checked) }, [approve, reject]));
  reject.addEventListener("click", () => {
    if (asksFirst(view, reason, notice)) send({ verdict: "reject", reason: reason.value }, [approve, reject]);
  });
  return h(
    "div", { class: "decide" },
    tick ? h("label", { class: "tick" }, tick, h("span", {}, t("approval.override"))) : null,
    reason,
    h("div", { class: "buttons" }, view.you.may_approve ? approve : null, view.you.may_reject ? reject : null),
  );
}

/** A rejection without a reason is asked for one, once: the agent reads it. Who takes an own wish back needs none. */
function asksFirst(view, reason, notice) {
  if (view.you.may_withdraw || reason.value.trim() || reason.dataset.asked) return true;
  reason.dataset.asked = "true";
  notice.textContent = t("approval.reject_why");
  notice.hidden = false;
  reason.focus();
  return false;
}

function glass(view, send) {
  const reason = h("input", { type: "text", class: "reason", maxlength: "1000", "aria-label": t("glass.reason"), placeholder: t("glass.reason") });
  const tick = h("input", { type: "checkbox" });
  const override = view.owner.reverts ? h("input", { type: "checkbox" }) : null;
  const go = h("button", { type: "button", class: "danger solid" }, icon("warn"), t("glass.button"));
  const ready = () => (go.disabled = Boolean(view.you.step_up) || !tick.checked || !reason.value.trim() || (override && !override.checked));
  for (const control of [tick, reason, override].filter(Boolean)) control.addEventListener("input", ready);
  ready();
  go.addEventListener("click", () => send({ verdict: "approve", reason: reason.value, break_glass: true, override_owner: Boolean(override?.checked) }, [go]));
  return h(
    "details", { class: "glass" },
    h("summary", {}, t("glass.title")),
    h(
      "div", { class: "glass-inside" },
      h("p", {}, t("glass.text")),
      view.you.step_up ? stepUp(view) : null,
      h("label", { class: "tick" }, tick, h("span", {}, t("glass.tick"))),
      override ? h("label", { class: "tick" }, override, h("span", {}, t("approval.override"))) : null,
      reason, go,
    ),
  );
}

function stepUp(view) {
  const back = encodeURIComponent(`/approvals/${view.id}`);
  return h("p", { class: "notice" }, t("approval.step_up"), " ", h("a", { href: `${view.you.step_up}?next_path=${back}` }, t("approval.step_up_link")));
}

/** For an end after which the same may be asked for again: a new plan, from a fresh look at the object. */
export function askAgain(view) {
  if (!view.you.may_ask_again) return null;
  const button = h("button", { type: "button", class: "again" }, icon("undo"), t("approval.again"));
  const said = h("p", { class: "notice", role: "status", hidden: true });
  button.addEventListener("click", async () => {
    button.disabled = true;
    said.hidden = false;
    said.textContent = t("approval.again_working");
    try {
      const opened = await post(`/api/v1/proposals/again/${view.id}`);
      said.replaceChildren(h("a", { href: `/approvals/${opened.id}` }, t("approval.again_done")));
    } catch (error) {
      said.textContent = error.detail || error.message;
      button.disabled = false;
    }
  });
  return h("div", { class: "again-box" }, button, said);
}
