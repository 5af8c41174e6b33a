// Small fields instead of JSON: rows that are added and removed, kept as JSON in the box that the server reads. The box is
// hidden, not gone; one whose text is no such rows (it was written by hand) stays to be corrected.
import { el } from "./dom.js";
import { t } from "./text.js";

const SEVERITIES = ["info", "warning", "critical"];

function read(box, empty) {
  try {
    const value = box.value.trim() ? JSON.parse(box.value) : empty;
    return Array.isArray(value) === Array.isArray(empty) && typeof value === "object" && value ? value : null;
  } catch {
    return null;
  }
}

function input(label, value, attributes = {}) {
  return el("input", { "aria-label": label, value: value ?? "", autocomplete: "off", spellcheck: "false", ...attributes });
}

// What a person writes as a setting: a number, true or false, JSON, or a text.
function meant(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

const PAIRS = (convert, show) => ({
  empty: {},
  entries: (value) => Object.entries(value),
  fields: (what, [name, value] = ["", ""]) => [input(t("{what}: name", { what }), name, { size: 12, placeholder: "name" }), input(t("{what}: value", { what }), value === "" ? "" : show(value), { size: 18, placeholder: "value" })],
  value: (rows) => Object.fromEntries(rows.filter(([name]) => name.value.trim()).map(([name, value]) => [name.value.trim(), convert(value.value)])),
});

const STEPS = {
  empty: [],
  entries: (value) => value,
  fields: (what, step = {}) => {
    const chosen = el("select", { "aria-label": t("{what}: severity", { what }) }, ...SEVERITIES.map((one) => el("option", { value: one, selected: one === (step.severity ?? "critical") }, one)));
    return [chosen, input(t("{what}: threshold", { what }), step.threshold, { type: "number", step: "any", placeholder: "threshold" })];
  },
  value: (rows) => rows.filter(([, limit]) => limit.value !== "").map(([severity, limit]) => ({ severity: severity.value, threshold: Number(limit.value) })),
};

const KINDS = { params: PAIRS(meant, written), labels: PAIRS(String, String), annotations: PAIRS(String, String), severity_steps: STEPS };

function rowsFor(box, kind) {
  const what = document.querySelector(`label[for="${box.id}"]`)?.firstChild.textContent.trim() ?? box.name;
  const found = read(box, kind.empty);
  if (found === null) return;
  const list = el("div", { class: "small-rows" });
  const add = el("button", { type: "button", class: "quiet-button" }, t("Add"), el("span", { class: "visually-hidden" }, ` to ${what}`));

  function keep() {
    const value = kind.value([...list.children].map((row) => [...row.querySelectorAll("input, select")]));
    box.value = Object.keys(value).length ? JSON.stringify(value) : "";
  }

  function append(entry) {
    const row = el("div", { class: "small-row" }, ...kind.fields(what, entry));
    row.append(el("button", { type: "button", "aria-label": t("Remove this row of {what}", { what }), onclick: () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      keep();
      (next?.querySelector("input, select") ?? add).focus();
      box.dispatchEvent(new Event("input", { bubbles: true }));
    } }, "×"));
    list.append(row);
    return row;
  }

  for (const entry of kind.entries(found)) append(entry);
  list.addEventListener("input", keep);
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName === "BUTTON") return;
    event.preventDefault(); // a new row, not the whole form
    add.click();
  });
  add.addEventListener("click", () => append().querySelector("input, select").focus());
  box.hidden = true;
  box.after(list, add);
  document.querySelector(`label[for="${box.id}"]`)?.removeAttribute("for");
}

export function smallRows(form) {
  for (const [name, kind] of Object.entries(KINDS)) if (form.elements[name]) rowsFor(form.elements[name], kind);
}
