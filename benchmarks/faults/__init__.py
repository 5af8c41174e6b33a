"""The whole chain under faults: 100,000 messages, 20 faults, none lost, none handled twice in effect.

`python -m benchmarks.faults --messages 100000 --faults 20` starts servers of its own, the platform's real processes and
a control beside them (the common practice: commit, then send, late acks only), breaks things by a plan that a seed
repeats, and counts. The control must lose messages: a check that never sees a loss proves nothing.
"""
