"""Handing an act to a webhook: tried again with the same id until an answer says yes or no."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from django.conf import settings

from subsystems.kernel.times import moment_text
from subsystems.s1_operations.adapters.http import guarded_resolver
from subsystems.s1_operations.adapters.http_calls import Answer, Call, exchange
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer
from subsystems.s3_control.hooks import services
from subsystems.s3_control.hooks.previews import address, found
from subsystems.s3_control.hooks.requests import TRY_AGAIN, Asked, call_of, shown
from subsystems.s3_control.models import Action
from subsystems.s3_control.stepping import Outcome, Work, verified

SECONDS = 10.0  # for one request and its answer
TRIES = 5
FIRST_PAUSE = timedelta(seconds=5)  # twice as long after each try


def call(work: Work) -> Outcome:
    """Tell the webhook, once or once more."""
    assert work.action.fleet is not None
    row = found(work.action.fleet, work.target)
    tries = int(work.memory.get("tries", 0)) + 1
    # Written down first: whoever carries on after a crash tells it again under the same id, and not for ever.
    work.memory["tries"] = tries
    Action.objects.filter(pk=work.action.pk).update(memory=work.memory)
    url = address(row, work.action.kind)
    asked = asked_of(work.action, work.parameters().payload)
    request = call_of(url, asked, services.secret_of(row), timestamp=int(work.now.timestamp()))
    try:
        answer = asyncio.run(_told(request))
    except AddressRefused as error:
        why = f"Refused: {error.host} is an internal address; VSM_HTTP_ALLOW would permit it."
        return Outcome(Action.State.FAILED, why)
    except (BadAnswer, OSError, TimeoutError) as error:
        return _again(tries, f"{shown(url)} did not answer: {str(error) or type(error).__name__}", heard=False)
    return _judged(answer, tries, shown(url))


def asked_of(action: Action, payload: dict[str, object]) -> Asked:
    """Return what a webhook is told of *action*."""
    return Asked(
        str(action.pk), action.kind, action.target, action.fleet_name, payload, action.reason, action.actor,
        moment_text(action.requested_at) or "",
    )  # fmt: skip


async def _told(request: Call) -> Answer:
    async with asyncio.timeout(SECONDS):
        return await exchange(request, guarded_resolver(settings.HTTP_ALLOW))


def _judged(answer: Answer, tries: int, where: str) -> Outcome:
    after = {"status": answer.status, "tries": tries}
    if 200 <= answer.status < 300:
        return verified(f"{where} answered with status {answer.status}.", after, done=1, total=1)
    if answer.status in TRY_AGAIN:
        return _again(tries, f"{where} answered with status {answer.status}", heard=True)
    return Outcome(Action.State.FAILED, f"{where} answered with status {answer.status}.", after, {"failed": 1})


def _again(tries: int, why: str, *, heard: bool) -> Outcome:
    if tries < TRIES:
        return Outcome(detail=f"{why[:300]}; try {tries} of {TRIES}.", again=FIRST_PAUSE * 2 ** (tries - 1))
    doubt = "" if heard else " It may have been done all the same."
    return Outcome(Action.State.FAILED, f"{why[:300]}, {tries} times.{doubt}", {"tries": tries}, {"failed": 1})
