"""`python -m benchmarks.faults [--messages N] [--faults N] [--seed N] [--json]`: 1 when a promise did not hold."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from dataclasses import asdict

from benchmarks.faults.checker import Verdict
from benchmarks.faults.run import Found, Wanted, run
from benchmarks.faults.servers import Unavailable

CONTROL_MESSAGES = 5_000  # at most: it only has to show that the faults do harm
ROWS = ("attempted", "acknowledged", "handled", "lost", "doubled", "unexpected", "recovered", "unsent", "absorbed")


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started here ends, too
    wanted = Wanted(
        messages=options.messages,
        control_messages=options.control_messages
        or min(max(options.messages // 5, min(options.messages, 1_000)), CONTROL_MESSAGES),
        faults=options.faults,
        seed=random.randrange(1_000_000) if options.seed is None else options.seed,
        outage_seconds=options.outage,
        pause_seconds=options.pause,
    )
    started = time.monotonic()
    try:
        found = run(wanted, lambda text: say(f"{time.monotonic() - started:5.0f} s  {text}"))
    except Unavailable as error:
        say(f"Not run: {error}.")
        return 2
    wrong = broken(found)
    if options.json:
        print(json.dumps({**asdict(found), "broken": wrong}, default=str))
    else:
        print(text_of(found))
        print("\n".join(f"BROKEN: {each}" for each in wrong) or "Every promise held, and the control broke it.")
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--control-messages", type=int, default=0, help="a fifth of --messages, 5,000 at most")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="the same seed strikes the same faults")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds that the broker is unreachable")
    parser.add_argument("--pause", type=float, default=17.0, help="seconds that a relay is paused")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def broken(found: Found) -> list[str]:
    """Say which promises did not hold; the control must lose, or the run has proved nothing."""
    ours, control = found.platform, found.control
    claims = {
        f"{ours.lost} acknowledged messages were lost": ours.lost,
        f"{ours.doubled} messages were handled twice": ours.doubled,
        f"{ours.unexpected} effects came from nothing": ours.unexpected,
        f"{ours.facts.get('not_sealed')} events were not sealed": ours.facts.get("not_sealed"),
        f"{ours.facts.get('messages_without_event')} messages have no event": ours.facts.get("messages_without_event"),
        f"the chain does not verify: {found.chain}": not found.chain_holds,
        "the control lost nothing": control.lost == 0,
    }
    return [words for words, wrong in claims.items() if wrong]


def text_of(found: Found) -> str:
    lines = [f"seed {found.seed}, {len(found.plan)} faults, {found.seconds['all']:.0f} s", ""]
    lines += [
        f"  {n:>2}. {fault.kind}{f', {fault.seconds:g} s' * bool(fault.seconds)}"
        for n, fault in enumerate(found.plan, 1)
    ]
    lines += ["", f"{'':<14}{'platform':>12}{'control':>12}"]
    sides = (found.platform, found.control)
    lines += [f"{row:<14}" + "".join(f"{getattr(side, row):>12,}" for side in sides) for row in ROWS]
    lines += ["", "latency of the platform, outages included (p50, p99, longest; ms)", *latencies(found.platform)]
    lines += ["", f"seconds { ({name: round(value) for name, value in found.seconds.items()}) }"]
    lines += [f"started {found.starts}", f"tables  {found.platform.facts}", f"chain   {found.chain}"]
    lines += [*found.platform.examples]
    return "\n".join(lines)


def latencies(verdict: Verdict) -> list[str]:
    return [
        f"  {channel:<18}" + "".join(f"{value:>12,.1f}" for value in values)
        for channel, values in verdict.latency_ms.items()
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
