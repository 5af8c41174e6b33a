"""However many units there are, what is told of them is little and adds up."""

from __future__ import annotations

from subsystems.s1_operations.folding import MOST_GROUPS, Line, totals


def line(name: str, *, kind: str = "celery_worker", state: str = "active", score: float | None = 1.0) -> Line:
    """Return a unit of the fleet that its name begins with, or of none."""
    fleet, slash, _ = name.partition("/")
    return Line(0, name, kind, state, score, fleet if slash else None)


def test_each_fleet_and_kind_is_counted_whole() -> None:
    """Whoever wants to know how many workers answer asks one line, and hosts belong to no fleet."""
    told = totals(
        [
            line("shop/web-1"),
            line("shop/web-2", state="silent", score=0.0),
            line("shop/orders", kind="celery_queue", score=None),
            line("own/sweeper", state="new", score=None),
            line("host-1", kind="host"),
        ]
    )

    none = {"healthy": 0, "degraded": 0, "unhealthy": 0, "unknown": 0}
    assert {(each.pop("fleet"), each.pop("kind")): each for each in told["fleets"]} == {
        ("shop", "celery_worker"): {
            "units": 2, "active": 1, "silent": 1, "health": {**none, "healthy": 1, "unhealthy": 1}},
        ("shop", "celery_queue"): {"units": 1, "active": 1, "silent": 0, "health": {**none, "unknown": 1}},
        ("own", "celery_worker"): {"units": 1, "active": 0, "silent": 0, "health": {**none, "unknown": 1}},
    }  # fmt: skip
    assert told["states"] == {"active": 3, "silent": 1, "new": 1}
    assert told["all"] == sum(told["health"].values()) == 5


def test_a_few_roles_keep_their_numbers() -> None:
    """`db-1` is not `db-2` as long as there is room for both."""
    told = totals([line(f"shop/db-{n}") for n in range(MOST_GROUPS)])

    assert len(told["groups"]) == MOST_GROUPS
    assert {"shop/db-1", "shop/db-2"} <= {each["role"] for each in told["groups"]}


def test_too_many_roles_are_one_where_they_differ_in_numbers() -> None:
    """Each keeps its fleet and its kind, and who has no fellow keeps its name."""
    lines = [line(f"shop/api-{n}@host{n % 7}", score=n % 2) for n in range(MOST_GROUPS)]
    lines += [line(f"own2/api-{n}@host{n}", state="silent", score=0.0) for n in range(3)]
    lines += [line("shop/mail-1"), line("shop/api-1@host1", kind="celery_queue")]

    told = totals(lines)["groups"]

    assert {(each["kind"], each["fleet"], each["role"]): each["units"] for each in told} == {
        ("celery_worker", "shop", "shop/api-*@host*"): MOST_GROUPS,
        ("celery_worker", "own2", "own2/api-*@host*"): 3,
        ("celery_worker", "shop", "shop/mail-1"): 1,
        ("celery_queue", "shop", "shop/api-1@host1"): 1,
    }
    assert told[0]["health"] == {"healthy": 100, "degraded": 0, "unhealthy": 100, "unknown": 0}
    assert told[1]["silent"] == 3


def test_the_smallest_of_too_many_words_are_one_for_their_fleet_and_kind() -> None:
    """Nobody is left out of the counts: the groups hold all units with their health."""
    words = [f"shop/{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(MOST_GROUPS + 50)]
    lines = [line(name) for name in words] + [line(words[-1], score=0.2), line("host", kind="host")]

    told = totals(lines)["groups"]

    rest = next(each for each in told if each["role"] == "*")
    assert len(told) <= MOST_GROUPS + 2
    assert (rest["fleet"], rest["kind"]) == ("shop", "celery_worker")
    assert sum(each["units"] for each in told) == len(lines)
    assert sum(each["health"]["unhealthy"] for each in told) == 1
    assert words[-1] in {each["role"] for each in told}  # the largest has a name
