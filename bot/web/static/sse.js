// One stream a tab. The browser resumes by Last-Event-ID; when it gives up, we open again from the cursor that we kept.

import { language } from "./i18n.js";

const SILENCE_MS = 40_000; // the server says something every 15 s
const KINDS = ["hello", "log", "approval", "live", "lists", "gone"];

export class Stream {
  /** `handlers` by kind of event, and `state("live" | "lost")`. */
  constructor(conversation, handlers) {
    this.conversation = conversation;
    this.after = 0;
    this.handlers = handlers;
    this.failures = 0;
    this.heard = 0;
    this.source = null;
    this.open();
    setInterval(() => this.look(), 5_000);
    addEventListener("online", () => this.reopen());
    addEventListener("pagehide", () => this.source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.reopen());
  }

  open() {
    const query = new URLSearchParams({ lang: language, ...(this.conversation ? { c: `${this.conversation}:${this.after}` } : {}) });
    const source = new EventSource(`/api/v1/stream?${query}`);
    this.source = source;
    this.heard = Date.now();
    for (const kind of KINDS) source.addEventListener(kind, (event) => source === this.source && this.take(kind, event));
    source.addEventListener("ping", () => this.alive());
    source.onopen = () => this.alive();
    source.onerror = () => source === this.source && this.failed();
  }

  take(kind, event) {
    this.alive();
    const data = JSON.parse(event.data);
    if (kind === "log") {
      if (data.seq <= this.after) return;
      this.after = data.seq;
    }
    this.handlers[kind]?.(data);
  }

  alive() {
    this.failures = 0;
    this.heard = Date.now();
    this.handlers.state("live");
  }

  failed() {
    this.handlers.state("lost");
    if (this.source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    this.failures += 1;
    const wait = Math.min(30_000, 1000 * 2 ** Math.min(this.failures, 5)) * (0.5 + Math.random() / 2);
    setTimeout(() => this.retry(), wait);
  }

  /** A refused stream does not say why: ask whether we are still signed in. */
  async retry() {
    const answer = await fetch("/api/v1/me", { signal: AbortSignal.timeout(10_000) }).catch(() => null);
    if (answer?.status === 401) location.assign("/sign-in");
    else if (this.source.readyState === EventSource.CLOSED) this.reopen();
  }

  reopen() {
    this.source?.close();
    this.open();
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  look() {
    if (this.source && Date.now() - this.heard > SILENCE_MS) {
      this.handlers.state("lost");
      this.reopen();
    }
  }
}
