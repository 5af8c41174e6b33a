// A part of the page that the server writes, asked for again when what it tells has moved on.
const WAIT_MS = 300; // one answer for changes that come together

export function refreshing(id) {
  const part = document.getElementById(id);
  let asked = 0;

  async function again() {
    const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok || answer.redirected) return; // what is shown stays; the next change asks again
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.replaceChildren(...(page.getElementById(id)?.childNodes ?? []));
    part.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
    part.dispatchEvent(new CustomEvent("refreshed"));
  }

  return () => {
    clearTimeout(asked);
    asked = setTimeout(again, WAIT_MS);
  };
}
