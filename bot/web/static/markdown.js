// The server's tree of allowed nodes as elements. What is not in the table is shown as its text.

import { h } from "./dom.js";

const PLAIN = new Set(["p", "strong", "em", "code", "ul", "li", "thead", "tbody", "tr", "blockquote", "hr", "br"]);

export function render(nodes) {
  return nodes.map(one);
}

function one(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const children = render(node.c ?? []);
  if (PLAIN.has(node.t)) return h(node.t, {}, children);
  switch (node.t) {
    case "h":
      // A model's heading never competes with the page's own.
      return h("p", { class: "md-heading", role: "heading", "aria-level": Math.min(6, 3 + node.level) }, children);
    case "pre":
      return h("pre", { tabindex: "0" }, h("code", {}, children));
    case "ol":
      return h("ol", { start: node.start }, children);
    case "table":
      return h("div", { class: "md-table", tabindex: "0" }, h("table", {}, children));
    case "th":
    case "td":
      return h(node.t, { class: node.align ? `align-${node.align}` : null }, children);
    case "a":
      return link(node, children);
    default:
      return h("span", {}, children);
  }
}

/** Only http and https, whatever the tree says; the real host is always in view. */
function link(node, children) {
  if (!/^https?:\/\//i.test(node.href)) return h("span", {}, children);
  const shown = node.c?.length === 1 && node.c[0] === node.href;
  return h(
    "span", { class: "md-link" },
    h("a", { href: node.href, rel: "noopener noreferrer nofollow", target: "_blank" }, children),
    shown ? null : h("span", { class: "md-host" }, ` (${node.host})`),
  );
}
