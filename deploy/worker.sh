#!/bin/sh
# A Celery worker: NAME, number of processes, queues. Its node is named after the container, so that a new one never
# meets the mailbox of an old one whose connection the broker has not given up yet.
set -eu
name=$1
processes=$2
shift 2
queues=$(printf 'vsm.%s.v1,' "$@")
exec celery -A vsm_site worker -n "$name@%h" -c "$processes" -Q "${queues%,}" --prefetch-multiplier 1 -l WARNING
