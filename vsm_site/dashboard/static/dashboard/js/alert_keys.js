// Single keys for a list of rows: a cursor that is the focus itself (the link of a row), so that what is spoken, what is
// outlined and what a key acts on are one. They can be switched off, and are while something is typed.
import { isForPage, keysAreOn } from "./keys.js";

const ROWS = "tr[data-alert], tr[data-row]";
const CONTROLS = "a, button, input, select, label, summary";

export function rowOf(node) {
  return node?.closest?.(ROWS) ?? null;
}

function focusRow(row) {
  row?.querySelector("a.alert-title, a.row-title")?.focus();
  row?.scrollIntoView({ block: "nearest" });
}

function keyOf(row) {
  return row?.dataset.alert ?? row?.dataset.row ?? null;
}

// *verbs* by key: a function of the row under the cursor, or null.
export function listenForKeys(box, verbs) {
  const moves = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };
  // Rows are written anew, and what is done leaves the list and takes the focus with it: where the cursor was is known
  // by its row and by how many stood above. No other row takes the focus by itself: the next key would be meant for the first.
  let cursor = null;
  let above = -1;
  const rows = () => [...box.querySelectorAll(ROWS)];

  function move(steps) {
    const all = rows();
    const at = all.findIndex((row) => keyOf(row) === cursor);
    const next = at >= 0 ? at + steps : above + (steps > 0 ? 0 : -1);
    focusRow(all[cursor === null && steps < 0 ? all.length - 1 : Math.min(all.length - 1, Math.max(0, next))]);
  }

  box.addEventListener("focusin", ({ target }) => {
    const row = rowOf(target);
    if (row) [cursor, above] = [keyOf(row), rows().indexOf(row)];
  });
  // A click or a tap on a row moves the cursor, too, unless it is for something in it or marks its text.
  box.addEventListener("click", (event) => {
    if (!event.target.closest(CONTROLS) && getSelection().isCollapsed) focusRow(rowOf(event.target));
  });
  document.addEventListener("close", ({ target: dialog }) => {
    const lost = document.activeElement === document.body || dialog.contains(document.activeElement);
    if (cursor && lost) focusRow(rows().find((row) => keyOf(row) === cursor));
  }, true);
  document.addEventListener("keydown", (event) => {
    if (!isForPage(event)) return;
    const arrow = event.key.startsWith("Arrow");
    const row = rowOf(event.target);
    if (arrow ? !row : !keysAreOn()) return;
    if (event.key in moves) move(moves[event.key]);
    else if (event.key in verbs) verbs[event.key](row);
    else return;
    event.preventDefault();
  });
}
