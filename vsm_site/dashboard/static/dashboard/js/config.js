// What the server tells this page.
export const config = JSON.parse(document.getElementById("config").textContent);

export function withSystem(path, parameters = {}) {
  const query = new URLSearchParams({ system: config.system, ...parameters });
  return `${path}?${query}`;
}
