// REST with the double-submit token. A failure is an ApiError with the problem's code, already in words.

import { language, t, tOr } from "./i18n.js";

export class ApiError extends Error {
  constructor(status, code, detail) {
    super(tOr(`error.${code}`, detail));
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body ?? {});

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  const url = new URL(path, location.origin);
  url.searchParams.set("lang", language);
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["X-CSRF-Token"] = document.body.dataset.csrf;
  }
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(30_000),
    });
  } catch {
    throw new ApiError(0, "unreachable", t("error.unreachable"));
  }
  if (answer.status === 401) location.assign(`/sign-in?next_path=${encodeURIComponent(location.pathname)}`);
  const data = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, data.code ?? "failed", data.detail ?? answer.statusText);
  return data;
}
