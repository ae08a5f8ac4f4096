// Starts the page: the stream feeds the store, the store feeds the components. Nothing else holds state.

import "./components/answer.js";
import "./components/approval.js";
import "./components/chart.js";
import "./components/diagnosis.js";
import "./components/feedback.js";
import "./components/sidebar.js";
import "./components/steps.js";
import "./components/turn.js";
import "./components/usage.js";
import { get, post } from "./api.js";
import { enhance } from "./composer.js";
import { h } from "./dom.js";
import { preferences } from "./preferences.js";
import { Stream } from "./sse.js";
import { emptyThread, isBusy, take, takeDelta, takeProgress } from "./store.js";

const { page, conversation = "" } = document.body.dataset;
const banner = document.querySelector("[data-banner]");
const sidebar = document.querySelector("ot-sidebar");
const NEAR_END = 300; // pixels: who reads further up is not moved
let lostTimer = null;

preferences();
if (page === "chat") chat();
else if (page === "approvals" || page === "approval") inbox();
menu();

function connection(state) {
  document.body.dataset.connection = state;
  clearTimeout(lostTimer);
  if (state === "live") banner.hidden = true;
  else lostTimer = setTimeout(() => (banner.hidden = false), 1500);
}

function gone(stream, { conversation: which, why }) {
  if (why === "signed_out") location.assign("/sign-in");
  else if (why === "restart") setTimeout(() => stream.reopen(), 300 + Math.random() * 1000);
  else if (which === conversation) location.assign("/");
}

function chat() {
  const thread = emptyThread();
  const list = document.querySelector("[data-thread]");
  const scroller = document.querySelector("[data-scroll]");
  const stop = document.querySelector("[data-stop]");
  const latest = document.querySelector("[data-latest]");
  const below = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  const turns = new Map();
  const dirty = new Set();
  let planned = false;
  let unseen = false; // something came below what is on screen
  let follow = true; // until the log has been read to its end, and after one's own question

  function plan(turn) {
    if (turn) dirty.add(turn);
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      const nearEnd = below() < NEAR_END;
      const newest = [...dirty].filter((changed) => !turns.has(changed.id)).at(-1);
      for (const changed of dirty) show(changed);
      dirty.clear();
      if (stop) stop.hidden = !isBusy(thread);
      if (newest && (nearEnd || follow)) turns.get(newest.id).scrollIntoView({ block: "start" });
      unseen ||= !follow && below() >= NEAR_END;
      hint();
    });
  }

  function show(turn) {
    if (!turns.has(turn.id)) {
      turns.set(turn.id, document.createElement("ot-turn"));
      list.append(h("li", {}, turns.get(turn.id)));
    }
    turns.get(turn.id).update(turn, thread, conversation);
  }

  function ofApproval(id) {
    for (const turn of thread.turns.values()) if (turn.approvals.includes(id)) plan(turn);
  }

  const stream = new Stream(conversation, {
    state: connection,
    log: (entry) => {
      plan(take(thread, entry));
      if (entry.event.type === "case_ended") ofApproval(entry.event.approval);
    },
    approval: (view) => {
      thread.approvals.set(view.id, view);
      ofApproval(view.id);
    },
    live: (live) => {
      if (live.type === "text_delta") plan(takeDelta(thread, live));
      else if (live.type === "progress") {
        plan(takeProgress(thread, live));
        if (live.approval) ofApproval(live.approval);
      }
    },
    lists: (lists) => {
      sidebar?.update(lists);
      lookAgain(thread, ofApproval);
      requestAnimationFrame(() => (follow = false));
    },
    gone: (event) => gone(stream, event),
  });
  const hint = () => {
    if (below() < NEAR_END) unseen = false;
    if (latest) latest.hidden = !unseen;
  };
  scroller.addEventListener("scroll", hint, { passive: true });
  latest?.addEventListener("click", () => scroller.scrollTo({ top: scroller.scrollHeight, behavior: "smooth" }));
  const form = document.querySelector("[data-composer]");
  if (form) enhance(form, { conversation, onAsked: () => (follow = true) });
  stop?.addEventListener("submit", (event) => {
    event.preventDefault();
    post(`/api/v1/conversations/${conversation}/cancel`).catch(() => stop.submit());
  });
}

/** Cards that wait: a freeze or a changed role comes without an event of the conversation. */
function lookAgain(thread, changed) {
  for (const view of [...thread.approvals.values()].filter((one) => one.state === "pending")) {
    get(`/api/v1/approvals/${view.id}`).then((now) => {
      thread.approvals.set(now.id, now);
      changed(now.id);
    }, () => {});
  }
}

/** The inbox: cards by REST, looked at again whenever the lists change. */
function inbox() {
  const cards = new Map([...document.querySelectorAll("[data-approval]")].map((place) => [place.dataset.approval, place]));

  async function show(id) {
    const place = cards.get(id);
    let card = place.querySelector("ot-approval");
    if (!card) {
      card = document.createElement("ot-approval");
      place.replaceChildren(card);
    }
    card.update(await get(`/api/v1/approvals/${id}`));
  }

  const watch = document.querySelector("[data-watch]")?.dataset.watch ?? "";
  const stream = new Stream(watch, {
    state: connection,
    approval: (view) => cards.get(view.id)?.querySelector("ot-approval")?.update(view),
    lists: (lists) => {
      sidebar?.update(lists);
      for (const id of cards.keys()) show(id).catch(() => {});
      const unseen = lists.pending_approvals.some((a) => !cards.has(a.id));
      const note = document.querySelector("[data-newer]");
      if (note) note.hidden = !unseen;
    },
    gone: (event) => gone(stream, event),
  });
  for (const id of cards.keys()) show(id).catch(() => {});
}

/** On a narrow page the side bar is a drawer. */
function menu() {
  const toggle = document.querySelector("[data-menu]");
  const close = () => {
    document.body.classList.remove("menu-open");
    toggle?.setAttribute("aria-expanded", "false");
  };
  toggle?.addEventListener("click", () => {
    const open = document.body.classList.toggle("menu-open");
    toggle.setAttribute("aria-expanded", String(open));
  });
  document.querySelector("[data-scrim]")?.addEventListener("click", close);
  addEventListener("keydown", (event) => event.key === "Escape" && close());
}

document.documentElement.dataset.ready = "true";
