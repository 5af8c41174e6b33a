"""What an administrator does in the admin: systems, people, and who belongs where."""

from __future__ import annotations

import re

import httpx

from tests.support.platform_process import ASK_SECONDS, PASSWORD, Platform

NO_INLINES = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


class AdminDesk:
    """Logged in as the administrator; every step is a form of the admin, sent as a browser sends it."""

    def __init__(self, platform: Platform) -> None:
        self._client = httpx.Client(base_url=platform.url, timeout=ASK_SECONDS)
        self._post("/admin/login/", username="admin", password=PASSWORD)

    def close(self) -> None:
        self._client.close()

    def add_system(self, slug: str, name: str, *, below: str = "main") -> None:
        """Make a system that lies within another; within none where *below* is empty."""
        parent = self._find_system(below) if below else ""
        self._add("recursion/system", slug=slug, name=name, parent=parent, **NO_INLINES)

    def add_person(self, name: str, password: str, *, operates: str) -> None:
        """Make an account for somebody who operates one system."""
        secret = {"usable_password": "true", "password1": password, "password2": password}
        user = self._add("auth/user", username=name, **secret)
        self._add("recursion/membership", user=user, system=self._find_system(operates), role="operator")

    def _add(self, model: str, **fields: str) -> str:
        """Send the form that adds one, and return the new one's id."""
        answer = self._post(f"/admin/{model}/add/", _continue="1", **fields)
        found = re.search(r"/(\d+)/change/", answer.headers.get("location", ""))
        assert found, answer.text
        return found[1]

    def _find_system(self, slug: str) -> str:
        """Return the id of a system, as the fields of the forms find it."""
        asked = {"app_label": "recursion", "model_name": "system", "field_name": "parent", "term": slug}
        found = self._client.get("/admin/autocomplete/", params=asked).json()["results"]
        assert len(found) == 1, found
        return str(found[0]["id"])

    def _post(self, path: str, **fields: str) -> httpx.Response:
        self._client.get(path)
        token = self._client.cookies["csrftoken"]
        answer = self._client.post(path, data={**fields, "csrfmiddlewaretoken": token})
        assert answer.is_redirect, answer.text
        return answer
