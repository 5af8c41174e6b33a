// Health and severity as a shape, a word and a colour.
import { el, setClass, setText } from "./dom.js";
import { t } from "./text.js";

export function badge(word, prefix = "") {
  return el("span", { class: `badge ${prefix}${word}` }, t(word));
}

export function setBadge(node, word, prefix = "") {
  setClass(node, `badge ${prefix}${word}`);
  setText(node, t(word));
}
