// What units tell of now. The last values of one that is silent or paused are of then: a sum that held them would say that
// work goes on where nobody is heard.
export function heard(units) {
  return units.filter((unit) => unit.state !== "silent" && unit.state !== "paused");
}

export function told(units, metric) {
  return heard(units).map((unit) => unit.latest?.[metric]?.[1]).filter((value) => value !== undefined && value !== null);
}

// Nothing told is unknown, never nought.
export function sum(values) {
  return values.length ? values.reduce((total, value) => total + value, 0) : null;
}
