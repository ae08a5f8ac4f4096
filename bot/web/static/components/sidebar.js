// Conversations and the inbox's count, as the stream says them.

import { fill, h } from "../dom.js";
import { since, t } from "../i18n.js";
import { showNotices } from "./notices.js";

class Sidebar extends HTMLElement {
  update(lists) {
    showNotices(lists.notifications);
    const names = new Map(lists.clusters.map((c) => [c.id, c]));
    const here = location.pathname;
    fill(this, h("ul", { class: "conversations" }, lists.conversations.map((c) => item(c, names.get(c.cluster), here))));
    for (const badge of document.querySelectorAll("[data-pending]")) {
      badge.textContent = lists.pending_approvals.length || "";
      badge.hidden = lists.pending_approvals.length === 0;
    }
    for (const dot of document.querySelectorAll("[data-cluster-dot]")) {
      const cluster = names.get(dot.dataset.clusterDot);
      if (cluster) dot.dataset.online = String(cluster.online);
    }
  }
}

function item(conversation, cluster, here) {
  const path = `/c/${conversation.id}`;
  return h(
    "li", {},
    h(
      "a", { href: path, "aria-current": here === path ? "page" : null },
      h("span", { class: "conversation-title" }, conversation.title || t("conversation.untitled")),
      h(
        "span", { class: "conversation-meta" },
        conversation.busy ? h("span", { class: "busy", role: "img", "aria-label": t("conversation.busy") }) : null,
        cluster?.name ?? "", " · ", since(conversation.updated_at),
        conversation.open_approvals ? h("span", { class: "badge" }, t("conversation.waiting", { n: conversation.open_approvals })) : null,
      ),
    ),
  );
}

customElements.define("ot-sidebar", Sidebar);
