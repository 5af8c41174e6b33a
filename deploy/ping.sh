#!/bin/sh
# Succeed when the worker NAME in this container answers.
exec celery -A vsm_site inspect ping -t 10 -d "$1@$(hostname)"
