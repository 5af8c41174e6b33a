// Verbs: POST with the CSRF token. Rejects with a sentence a person can read.
import { t } from "./text.js";
export async function post(path, fields = {}) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      credentials: "same-origin",
      headers: { "X-CSRFToken": token, Accept: "application/json" },
      body: new URLSearchParams(fields),
    });
  } catch {
    throw new Error(t("The server cannot be reached."));
  }
  const isJson = answer.headers.get("content-type")?.includes("json");
  const body = isJson ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.detail || t("The server refused ({status}).", { status: answer.status }));
  return body;
}

export async function getJson(path, signal) {
  const answer = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" }, signal });
  const isJson = answer.headers.get("content-type")?.includes("json");
  const body = isJson ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.detail || t("The server refused ({status}).", { status: answer.status }));
  return body;
}

export async function postJson(path, body) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const headers = { "X-CSRFToken": token, Accept: "application/json", "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", credentials: "same-origin", headers, body: JSON.stringify(body) });
  const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(told.detail || t("The server refused ({status}).", { status: answer.status }));
  return told;
}
