// What the person prefers, before anything is drawn. A theme that is kept with the account wins over the one that this
// browser had; the zone of the browser is told to the server for whoever has chosen none. A script of the old kind: it
// goes before the one of the theme.
{
  const meta = document.querySelector("meta[name=person]");
  const { zone, theme, askZone } = meta.dataset;
  if (theme) localStorage.setItem("theme", theme);

  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const said = `vsm_zone=${encodeURIComponent(mine)}`;
  const told = () => document.cookie.split("; ").includes(said);
  if (askZone && mine && !told()) {
    document.cookie = `${said}; path=/; max-age=31536000; samesite=lax`;
    // Where no cookies are kept the page would be asked for again and again.
    if (askZone === "now" && zone !== mine && told()) location.reload();
  }

  // After the theme's own script has heard of it.
  document.addEventListener("click", ({ target }) => {
    if (!meta.dataset.theme || !target.closest?.(".theme-toggle")) return;
    meta.dataset.theme = localStorage.getItem("theme");
    const token = document.querySelector("input[name=csrfmiddlewaretoken]")?.value ?? "";
    fetch("/dashboard/me/preferences/keep/", { method: "POST", headers: { "X-CSRFToken": token }, body: new URLSearchParams({ theme: meta.dataset.theme }) });
  });
}
