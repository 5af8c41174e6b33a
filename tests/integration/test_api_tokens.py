"""How a program gets its token: once, with a password, and never with another token."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from subsystems.recursion.models import ApiToken
from tests.support.factories import PASSWORD, bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
BODY = {"name": "ci", "scopes": ["read"]}


def basic(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def make(client: Client, headers: dict[str, str], **changes: Any) -> Any:
    return client.post("/api/v1/tokens/", {**BODY, **changes}, content_type="application/json", headers=headers)


@pytest.fixture
def operator() -> User:
    return make_user("olga", role="operator")


def test_a_password_buys_a_token_that_works(client: Client, operator: User) -> None:
    """The whole way of a newcomer with curl."""
    answer = make(client, basic("olga"))

    assert answer.status_code == 201
    assert client.get("/api/v1/units/", headers=bearer(answer.json()["secret"])).status_code == 200


def test_the_secret_is_shown_once_and_stored_nowhere(client: Client, operator: User) -> None:
    """A database that is stolen must not open the doors."""
    secret = make(client, basic("olga")).json()["secret"]

    listed = client.get("/api/v1/tokens/", headers=basic("olga"))

    assert secret.encode() not in listed.content
    assert secret not in str(ApiToken.objects.values())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scopes": ["admin"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["fly"]}, "scopes.0"),
        ({"scopes": "read"}, "scopes"),
        ({"name": ""}, "name"),
        ({"system": "elsewhere"}, "system"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_nobody_gets_more_than_they_hold(client: Client, operator: User, changes: dict[str, Any], field: str) -> None:
    """A token is a part of what its person may do, never more."""
    make_system("elsewhere")

    answer = make(client, basic("olga"), **changes)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("credentials", ["olga:wrong", "nobody:x", "olga", "", "a\0b:c"])
def test_wrong_credentials_are_refused(client: Client, operator: User, credentials: str) -> None:
    """All in the same words, so that no name can be guessed."""
    encoded = base64.b64encode(credentials.encode()).decode()

    answer = make(client, {"authorization": f"Basic {encoded}"})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Basic")


def test_credentials_that_are_no_base64_are_refused(client: Client) -> None:
    """A header can hold anything."""
    assert make(client, {"authorization": "Basic ???"}).status_code == 401


def test_guessing_passwords_is_locked_out(client: Client, operator: User, settings: Any) -> None:
    """This door takes passwords too, so it counts like the login page."""
    settings.AXES_FAILURE_LIMIT = 3
    answers = [make(client, basic("olga", "wrong")) for _ in range(4)]

    locked = make(client, basic("olga"))

    assert answers[0].status_code == 401
    assert locked.status_code == 429
    assert locked.json()["code"] == "locked_out"


def test_basic_credentials_open_nothing_else(client: Client, operator: User) -> None:
    """A password in every script is what tokens are there to prevent."""
    assert client.get("/api/v1/units/", headers=basic("olga")).status_code == 401


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_makes_no_tokens(client: Client, method: str) -> None:
    """A stolen read token must not turn itself into another one that lives on."""
    make_system()
    headers = bearer(make_token(["read", "operate", "admin"])[1])

    answer = getattr(client, method)("/api/v1/tokens/", headers=headers)

    assert answer.status_code == 403


def test_a_session_makes_a_token(client: Client, operator: User) -> None:
    """The pages do it this way."""
    client.force_login(operator)

    assert make(client, {}).status_code == 201


def test_people_see_and_delete_their_own_tokens_only(client: Client, operator: User) -> None:
    """Even an administrator's list is not everybody's."""
    other, _ = make_token(["read"], user=make_user(role="viewer"))
    mine, _ = make_token(["read"], user=operator)

    listed = client.get("/api/v1/tokens/", headers=basic("olga")).json()["results"]
    foreign = client.delete(f"/api/v1/tokens/{other.pk}/", headers=basic("olga"))
    own = client.delete(f"/api/v1/tokens/{mine.pk}/", headers=basic("olga"))

    assert [row["id"] for row in listed] == [mine.pk]
    assert (foreign.status_code, own.status_code) == (404, 204)
    assert list(ApiToken.objects.all()) == [other]


def test_the_command_prints_a_token_that_works(client: Client) -> None:
    """The first token, on a machine without a browser."""
    make_user("root", superuser=True)
    out = io.StringIO()

    call_command("create_token", "root", scopes="read,operate", stdout=out)

    assert client.get("/api/v1/units/", headers=bearer(out.getvalue().strip())).status_code == 200


@pytest.mark.parametrize(
    ("user", "options"),
    [("nobody", {}), ("olga", {"scopes": "admin"}), ("olga", {"system": "nowhere"}), ("olga", {"scopes": ","})],
)
def test_the_command_says_what_is_wrong(operator: User, user: str, options: dict[str, str]) -> None:
    """A traceback tells an administrator nothing."""
    with pytest.raises(CommandError):
        call_command("create_token", user, **options)
