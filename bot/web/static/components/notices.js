// What a person must know although they did not ask: where the glass was broken. Each stays until it was seen.

import { post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { t, time } from "../i18n.js";

export function showNotices(notifications) {
  const place = document.querySelector("[data-notices]");
  if (!place || !notifications) return;
  const key = notifications.map((one) => one.id).join();
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  fill(place, notifications.map(notice));
}

function notice(one) {
  const seen = h("button", { type: "button", class: "quiet" }, t("notice.seen"));
  const item = h(
    "div", { class: "told" },
    icon("warn"),
    h("p", {}, h("b", {}, t("notice.break_glass", { name: one.by_name, cluster: one.cluster_name })), " ", time(one.at), " ",
      h("code", {}, one.what), h("span", { class: "outcome-words" }, one.reason)),
    one.approval ? h("a", { href: `/approvals/${one.approval}` }, t("notice.open")) : null,
    seen,
  );
  seen.addEventListener("click", async () => {
    seen.disabled = true;
    await post(`/api/v1/notifications/${one.id}/seen`).then(() => item.remove(), () => (seen.disabled = false));
  });
  return item;
}
