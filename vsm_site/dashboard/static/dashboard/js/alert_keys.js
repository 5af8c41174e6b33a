// Single keys for a list of rows: a cursor that is the focus itself (the link of a row), so that what is spoken, what is
// outlined and what a key acts on are one. They can be switched off, and are while something is typed.
const OFF = "vsm.keys.off";
const ROWS = "tr[data-alert], tr[data-row]";
const TYPED = "input:not([type=checkbox]), select, textarea, [contenteditable]";

export function keysAreOn() {
  return localStorage.getItem(OFF) === null;
}

export function switchKeys(on) {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
}

export function rowOf(node) {
  return node?.closest?.(ROWS) ?? null;
}

function focusRow(row) {
  row?.querySelector("a.alert-title, a.row-title")?.focus();
  row?.scrollIntoView({ block: "nearest" });
}

function move(box, steps) {
  const rows = [...box.querySelectorAll(ROWS)];
  const at = rows.indexOf(rowOf(document.activeElement));
  focusRow(rows[at < 0 ? (steps > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + steps))]);
}

function keyOf(row) {
  return row?.dataset.alert ?? row?.dataset.row ?? null;
}

// *verbs* by key: a function of the row under the cursor, or null.
export function listenForKeys(box, verbs) {
  const moves = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };
  // Rows are written anew while a dialog is open: the one that it would give the focus back to may be gone by then.
  let cursor = null;
  box.addEventListener("focusin", (event) => { cursor = keyOf(rowOf(event.target)) ?? cursor; });
  document.addEventListener("close", ({ target: dialog }) => {
    const lost = document.activeElement === document.body || dialog.contains(document.activeElement);
    if (cursor && lost) focusRow([...box.querySelectorAll(ROWS)].find((row) => keyOf(row) === cursor));
  }, true);
  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || at.matches(TYPED) || document.querySelector("dialog[open]")) return;
    const arrow = event.key.startsWith("Arrow");
    const row = rowOf(at);
    if (arrow ? !row : !keysAreOn()) return;
    if (event.key in moves) move(box, moves[event.key]);
    else if (event.key in verbs) verbs[event.key](row);
    else return;
    event.preventDefault();
  });
}
