// A part of the page that the server writes, asked for again as tasks change: at once, and not faster than it can be read.
const PAUSE_MS = 250;

// How an element is found again after the part was written anew: a link by where it leads, a tick by its row.
function place(node) {
  if (node.id) return `#${CSS.escape(node.id)}`;
  const row = node.closest("tr[data-alert]");
  if (row && node.matches("[data-pick]")) return `tr[data-alert="${CSS.escape(row.dataset.alert)}"] [data-pick]`;
  const href = node.getAttribute("href");
  return href ? `a[href="${CSS.escape(href)}"]` : null;
}

export function following(id, { part = "" } = {}) {
  const box = document.getElementById(id);
  let busy = false;
  let again = false;

  async function fetchPart() {
    const headers = part ? { "X-Part": part } : {};
    const answer = await fetch(location.href, { credentials: "same-origin", headers }).catch(() => null);
    if (!answer?.ok || answer.redirected) return; // what is shown stays; the next change asks again
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    const open = [...box.querySelectorAll("details")].map((one) => one.open);
    const focused = box.contains(document.activeElement) ? place(document.activeElement) : null;
    box.replaceChildren(...(part ? page.body.childNodes : page.getElementById(id)?.childNodes ?? []));
    box.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
    box.dispatchEvent(new CustomEvent("refreshed"));
    if (focused) box.querySelector(focused)?.focus();
  }

  return async function changed() {
    again = true;
    if (busy || document.hidden) return;
    busy = true;
    while (again) {
      again = false;
      await fetchPart();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    busy = false;
  };
}
