// The dialog in which alerts are silenced: for how long, and why.
import { setText } from "./dom.js";

const dialog = document.getElementById("quiet"); // of pages on which there is something to silence
const error = document.getElementById("quiet-error");

// Ask; *send* gets the fields and may reject, which is shown where they were typed. Focus goes back to where it was.
export function askQuiet(what, send) {
  const before = document.activeElement;
  const form = dialog.querySelector("form");
  setText(document.getElementById("quiet-what"), what);
  error.hidden = true;

  async function submit(event) {
    event.preventDefault();
    try {
      await send(Object.fromEntries(new FormData(form)));
      dialog.close();
    } catch (problem) {
      setText(error, problem.message);
      error.hidden = false;
      form.elements.comment.focus();
    }
  }
  form.addEventListener("submit", submit);
  dialog.addEventListener("close", () => {
    form.removeEventListener("submit", submit);
    before?.isConnected && before.focus();
  }, { once: true });
  dialog.showModal();
}

document.getElementById("quiet-cancel")?.addEventListener("click", () => dialog.close());
