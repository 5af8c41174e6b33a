"""Sends the shop its work, in waves of two minutes with a burst now and then."""

from __future__ import annotations

import argparse
import logging
import math
import random
import time
from itertools import count

from kombu.exceptions import OperationalError
from shop import build_report, place_order

WAVE_SECONDS = 120
ORDERS_A_SECOND = 4.0


def rate(now: float, load: float) -> float:
    """Return how many orders a second arrive at *now*: a wave between a fifth and the whole of the load."""
    return load * ORDERS_A_SECOND * (0.6 + 0.4 * math.sin(2 * math.pi * now / WAVE_SECONDS))


def send(number: int) -> None:
    place_order.apply_async((number,), priority=random.choice([1, 1, 1, 5, 9]))
    if random.random() < 0.05:
        build_report.apply_async((number,))
    if random.random() < 0.005:
        for extra in range(60):
            place_order.apply_async((number * 1000 + extra,), priority=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", type=float, default=1.0)
    load = parser.parse_args().load
    for number in count(1):
        while load <= 0:
            time.sleep(3600)
        try:
            send(number)
        except OperationalError as error:
            logging.warning("The broker does not answer: %s", error)
            time.sleep(5)
        time.sleep(random.expovariate(rate(time.time(), load)))


if __name__ == "__main__":
    main()
