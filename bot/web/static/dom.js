// Nodes from values. There is no HTML string anywhere: text is textContent, attributes come from our own code.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("p", { class: "x", onclick }, "text", node, null)`. Strings become text nodes. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  set(node, attributes);
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
}

/** Replace all children. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

const ICONS = {
  check: ["M4.5 10.5l3.5 3.5 7.5-8"],
  cross: ["M5.5 5.5l9 9", "M14.5 5.5l-9 9"],
  warn: ["M10 3.2l7.4 13.1H2.6z", "M10 8.2v3.6", "M10 14v.1"],
  clock: ["M10 2.8a7.2 7.2 0 1 0 0 14.4a7.2 7.2 0 1 0 0-14.4", "M10 6v4.2l2.8 1.8"],
  shield: ["M10 2.6l6 2.2v4.7c0 3.8-2.5 6.5-6 7.9c-3.5-1.4-6-4.1-6-7.9V4.8z", "M7.3 10l1.9 1.9l3.6-3.8"],
  dash: ["M6 10h8"],
  undo: ["M7.5 5L4 8.5L7.5 12", "M4 8.5h7.5a4 4 0 0 1 0 8H9"],
  copy: ["M7 7h9v9H7z", "M4 13V4h9"],
  snow: ["M10 3v14", "M4 6.5l12 7", "M16 6.5l-12 7"],
  people: ["M7.5 9.5a2.7 2.7 0 1 0 0-5.4a2.7 2.7 0 0 0 0 5.4", "M2.8 16c0-2.6 2-4.3 4.7-4.3s4.7 1.7 4.7 4.3", "M13 9.3a2.3 2.3 0 1 0-.6-4.5", "M14.2 11.9c1.9.4 3 1.9 3 4.1"],
  branch: ["M6 4v12", "M6 12c0-4 8-2 8-6", "M6 4v.1", "M14 5.5v.1", "M6 16v.1"],
};

/** A line icon, for decoration: its meaning is always in words beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of [["viewBox", "0 0 20 20"], ["class", `icon icon-${name}`], ["aria-hidden", "true"], ["focusable", "false"]]) {
    svg.setAttribute(key, value);
  }
  for (const d of ICONS[name] ?? []) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
