// A field for a unit: while a name is typed, the units that have it are suggested, by the search of the API.
import { withSystem } from "./config.js";
import { el } from "./dom.js";
import { getJson } from "./post.js";

const PAUSE_MS = 200;
const SUGGESTED = 20;

// The unit that *field* names, {id, name}, as far as it was suggested or written by the server; null for none.
export function unitOf(field) {
  const option = [...(field?.list?.options ?? [])].find((one) => one.value === field.value.trim());
  return option ? { id: option.dataset.id, name: option.dataset.name } : null;
}

// Suggest units in *field*; *found* is called when what it holds has become known.
export function suggestUnits(field, found) {
  let waiting = 0;
  let asked = 0;

  async function suggest() {
    const search = field.value.trim();
    const mine = ++asked;
    if (!search || unitOf(field)) return;
    const { results } = await getJson(withSystem("/api/v1/units/", { search, ordering: "name", limit: SUGGESTED })).catch(() => ({ results: [] }));
    if (mine !== asked) return; // more was typed meanwhile
    const twins = (name) => results.filter((unit) => unit.name === name).length > 1;
    field.list.replaceChildren(...results.map((unit) => el("option", { value: twins(unit.name) ? `${unit.name} (${unit.kind})` : unit.name, "data-id": unit.id, "data-name": unit.name })));
    if (unitOf(field)) found();
  }

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, PAUSE_MS);
  });
}
