// Making SVG elements; as in dom.js, no markup is ever parsed from data.
const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  setAll(node, attributes);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Sets what differs; null takes an attribute away.
export function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
}

// The outline that stands for a state of health, the same shapes as those of badges.
export function healthShape(status, x, y, size) {
  if (status === "degraded") return `M${x} ${y - size}L${x + size} ${y + size * 0.8}H${x - size}Z`;
  if (status === "unhealthy") {
    const c = size * 0.42;
    return `M${x - c} ${y - size}H${x + c}L${x + size} ${y - c}V${y + c}L${x + c} ${y + size}H${x - c}L${x - size} ${y + c}V${y - c}Z`;
  }
  const r = status === "unknown" ? size * 0.85 : size;
  return `M${x - r} ${y}A${r} ${r} 0 1 1 ${x + r} ${y}A${r} ${r} 0 1 1 ${x - r} ${y}Z`;
}
