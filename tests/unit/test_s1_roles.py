"""Names that are made up at each start have a role; names that people gave are roles themselves."""

from __future__ import annotations

import pytest

from subsystems.s1_operations.roles import role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        pytest.param("shop/celery@web-7d9f8b5c6d-x2k4j", "shop/celery@web-*", id="a pod of a deployment"),
        pytest.param("shop/celery@3f2a9c81b07e", "shop/celery@*", id="a container"),
        pytest.param("node-exporter-x2k4j", "node-exporter-*", id="a pod of a daemon set"),
        pytest.param("shop/celery@ip-10-0-12-7.eu.internal", "shop/celery@ip-*.eu.internal", id="a machine in a cloud"),
        pytest.param("job-123e4567-e89b-12d3-a456-426614174000", "job-*", id="a UUID"),
        pytest.param("shop/worker-48213@host-1", "shop/worker-*@host-1", id="a process"),
        pytest.param("shop/celery@web-0", "shop/celery@web-0", id="a stateful pod keeps its name"),
        pytest.param("shop/celery@host-12", "shop/celery@host-12", id="a host"),
        pytest.param("shop/emails-pricing", "shop/emails-pricing", id="a queue of words"),
        pytest.param("shop/default-stock", "shop/default-stock", id="a queue that ends in five letters"),
        pytest.param("feedfacedead", "feedfacedead", id="letters alone are a word"),
    ],
)  # fmt: skip
def test_the_role_of_a_name_is_what_lasts_of_it(name: str, role: str) -> None:
    """Restarts share a role, and nothing that somebody called so loses its own name."""
    assert role_of(name) == role
    assert role_of(role) == role
