"""Write the catalogues of the texts to translate; needs the tools of GNU gettext."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import makemessages

ELSEWHERE = ["tests", "benchmarks", "deploy", "scripts", "docs", "var", "vendor", "test-results"]


class Command(makemessages.Command):
    """Django's own command, which knows where texts are and what the scripts of the pages call them."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=t", "--keyword=tn:1,2"]
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]  # a guess helps no translator

    def handle(self, *args: Any, **options: Any) -> None:
        """Update the catalogues of the languages that were named, or of all."""
        options["ignore_patterns"] = [*options["ignore_patterns"], *ELSEWHERE]
        options |= {"add_location": options["add_location"] or "file", "no_obsolete": True}
        super().handle(*args, **options)
