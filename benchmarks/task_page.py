"""An open page of tasks in a real browser: prints when each task was on it.

`python -m benchmarks.task_page URL SESSION SECONDS` (the session as its cookie says it)
"""

from __future__ import annotations

import json
import sys

from playwright.sync_api import sync_playwright

from tests.support.chromium import FLAGS, find_chromium

# A task counts as shown when its row says that it succeeded.
OBSERVE = """() => {
  window.shown = {};
  const look = () => document.querySelectorAll("tr[data-task]").forEach((row) => {
    if (row.querySelector(".badge")?.textContent === "success") window.shown[row.dataset.task] ??= Date.now() / 1000;
  });
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def main(url: str, session: str, seconds: float) -> None:
    name, _, value = session.partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": url}])
        page = context.new_page()
        page.goto(f"{url}/dashboard/tasks/?name=shop.followed")
        page.evaluate(OBSERVE)
        print("open", flush=True)
        page.wait_for_timeout(seconds * 1000)
        print(json.dumps(page.evaluate("window.shown")), flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
