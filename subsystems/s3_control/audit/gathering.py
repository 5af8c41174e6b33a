"""Asking a fleet how it is set up. It only asks: nothing in the application or on its broker is changed."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import belongs, link_errors, watching_app
from subsystems.s1_operations.broker_urls import scrub
from subsystems.s3_control.audit.facts import BrokerFacts, FleetFacts, parsed_version, worker_facts

ANSWER_SECONDS = 1.5  # for each of four questions
CONNECT_SECONDS = 2.0
TASK_FIELDS = ("acks_late", "reject_on_worker_lost", "time_limit")
KINDS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "pyamqp": "rabbitmq", "redis": "redis", "rediss": "redis"}
LOCAL = {"localhost", "127.0.0.1", "::1", ""}


class Unanswered(Exception):
    """Nothing could be learned; the message says why, without credentials."""


def gather(fleet: FleetRef) -> FleetFacts:
    """Return what the workers of *fleet* and its broker say. Raises Unanswered."""
    app = watching_app(fleet)
    connection = app.connection_for_read(connect_timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        broker = _broker(fleet.url, connection)
        answers = _ask(app, connection)
    except link_errors(app) as error:
        raise Unanswered(scrub(str(error) or type(error).__name__, fleet.url)) from None
    finally:
        connection.collect(socket_timeout=0.5)
    workers = [worker_facts(name, said) for name, said in sorted(answers.items()) if belongs(name, said, fleet)]
    return FleetFacts(broker, tuple(worker for worker in workers if worker.settings))


def _ask(app: Celery, connection: Any) -> dict[str, dict[str, Any]]:
    inspect = app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
    questions = {
        "conf": lambda: inspect.conf(with_defaults=True),
        "stats": inspect.stats,
        "active_queues": inspect.active_queues,
        "registered": lambda: inspect.registered(*TASK_FIELDS),
    }
    answers: dict[str, dict[str, Any]] = defaultdict(dict)
    for question, ask in questions.items():
        for name, answer in (ask() or {}).items():
            if not (isinstance(answer, dict) and set(answer) == {"error"}):
                answers[name][question] = answer
    return answers


def _broker(url: str, connection: Any) -> BrokerFacts:
    parts = urlsplit(url)
    kind = KINDS.get(parts.scheme, "process" if parts.scheme == "vsm" else "other")
    encrypted = parts.scheme in {"amqps", "rediss"}
    told = getattr(connection.connection, "server_properties", None) or {}
    version = parsed_version(told.get("version")) if kind == "rabbitmq" else None
    return BrokerFacts(kind, version, encrypted, local=(parts.hostname or "") in LOCAL)
