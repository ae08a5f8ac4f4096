// Theme at once, without a reload; the server reads the same cookie and renders data-theme, so nothing flashes.

const YEAR_S = 365 * 24 * 3600;

export function preferences() {
  for (const form of document.querySelectorAll("[data-theme-form]")) {
    form.addEventListener("submit", (event) => {
      const theme = event.submitter?.value;
      if (!theme) return;
      event.preventDefault();
      document.documentElement.dataset.theme = theme;
      document.cookie = `opsthread_theme=${theme};path=/;max-age=${YEAR_S};samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
      for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === theme));
    });
  }
  for (const select of document.querySelectorAll("[data-language]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}
