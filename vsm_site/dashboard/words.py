"""Words of the model as the pages say them: in the reader's language, where the model itself has them in English."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from subsystems.kernel.words import Subsystem

TITLES = {
    Subsystem.S1: _("Operations"),
    Subsystem.S2: _("Coordination"),
    Subsystem.S3: _("Control"),
    Subsystem.S4: _("Intelligence"),
    Subsystem.S5: _("Policy"),
}

# What rows, the domain and the scripts call the states of things: templates translate these words where they show them.
STATES = (
    gettext_noop("accepted"), gettext_noop("active"), gettext_noop("allocated"), gettext_noop("applied"),
    gettext_noop("applying"), gettext_noop("approved"), gettext_noop("cancelled"), gettext_noop("critical"),
    gettext_noop("dead"), gettext_noop("deferred"), gettext_noop("degraded"), gettext_noop("disabled"),
    gettext_noop("done"), gettext_noop("down"), gettext_noop("due"), gettext_noop("error"),
    gettext_noop("exhausted"), gettext_noop("expired"), gettext_noop("failed"), gettext_noop("failing"),
    gettext_noop("failure"), gettext_noop("firing"), gettext_noop("fixed"), gettext_noop("gone"),
    gettext_noop("halted"), gettext_noop("handled"), gettext_noop("healthy"), gettext_noop("high"),
    gettext_noop("info"), gettext_noop("investigating"), gettext_noop("late"), gettext_noop("lost"),
    gettext_noop("maintenance"), gettext_noop("silence"),
    gettext_noop("low"), gettext_noop("medium"), gettext_noop("missed"), gettext_noop("moved"),
    gettext_noop("new"), gettext_noop("ok"), gettext_noop("open"), gettext_noop("over"), gettext_noop("pain"),
    gettext_noop("paused"), gettext_noop("pending"), gettext_noop("pleasure"), gettext_noop("proposed"),
    gettext_noop("received"), gettext_noop("recovering"), gettext_noop("refused"), gettext_noop("rejected"),
    gettext_noop("released"), gettext_noop("replaced"), gettext_noop("resolved"), gettext_noop("responding"),
    gettext_noop("retry"), gettext_noop("retrying"), gettext_noop("revoked"), gettext_noop("running"),
    gettext_noop("sending"), gettext_noop("sent"), gettext_noop("silent"), gettext_noop("skipped"),
    gettext_noop("stale"), gettext_noop("started"), gettext_noop("succeeded"), gettext_noop("success"),
    gettext_noop("suspended"), gettext_noop("told"), gettext_noop("unable"), gettext_noop("uncertain"),
    gettext_noop("undone"), gettext_noop("unhealthy"), gettext_noop("unknown"), gettext_noop("up"),
    gettext_noop("verified"), gettext_noop("waiting"), gettext_noop("warning"), gettext_noop("withheld"),
    gettext_noop("written"),
)  # fmt: skip
