// Words and times in the reader's language. The catalogue is the same JSON that the server renders with.

const language = document.documentElement.lang;
const base = document.body.dataset.static;
const words = await load();

async function load() {
  const answer = await fetch(`${base}/i18n/${language}.json`);
  return answer.ok ? answer.json() : {};
}

/** The words for `key`, with `{name}` replaced. An unknown key is shown as it is: it is a bug that a test finds. */
export function t(key, values = {}) {
  let text = words[key] ?? key;
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, String(value));
  return text;
}

/** The words for `key`, or `otherwise` where the catalogue has none: for codes that a newer server may send. */
export function tOr(key, otherwise) {
  return words[key] ?? otherwise;
}

/** Sentences one after another. Chinese and Japanese end each with their own stop and put no space between. */
export function sentences(...parts) {
  const said = parts.filter(Boolean);
  if (language === "en") return said.join(" ");
  return said.map((part) => (/[。！？]$/.test(part) ? part : `${part}。`)).join("");
}

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "narrow" });
const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

/** Today a time, else day and time; with the full date in `title`. */
export function time(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const node = document.createElement("time");
  node.dateTime = iso;
  node.title = full.format(at);
  node.textContent = (today ? clock : day).format(at);
  return node;
}

export function since(iso, now = Date.now()) {
  const seconds = (new Date(iso).getTime() - now) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return ago.format(Math.round(seconds / size), unit);
  }
  return ago.format(0, "second");
}

export function duration(ms) {
  if (ms < 1000) return t("unit.ms", { n: Math.max(1, Math.round(ms)) });
  if (ms < 60_000) return t("unit.s", { n: number.format(ms / 1000) });
  return t("unit.min", { m: Math.floor(ms / 60_000), s: Math.round((ms % 60_000) / 1000) });
}

export function share(value) {
  return percent.format(value);
}

export { language };
