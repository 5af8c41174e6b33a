// Texts in the reader's language. The English text is the key: in English no catalogue is loaded, and each is itself.
const catalogue = globalThis.django; // of Django's JavaScriptCatalog, where there is one

function filled(text, values) {
  return values ? text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place) : text;
}

// *text* with its places, such as {name}, filled from *values*.
export function t(text, values) {
  return filled(catalogue ? catalogue.gettext(text) : text, values);
}

// The same of a *number* of things, which fills the place {n}.
export function tn(one, many, number, values) {
  const text = catalogue ? catalogue.ngettext(one, many, number) : number === 1 ? one : many;
  return filled(text, { n: number, ...values });
}
