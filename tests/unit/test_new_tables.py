"""A new database takes a short road through the migrations, and becomes what an upgraded one is."""

from __future__ import annotations

from django.db.migrations import CreateModel, RunPython, SeparateDatabaseAndState
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader

from subsystems.new_tables import NewTables


def test_both_roads_end_at_the_same_models() -> None:
    """Who changes one and forgets the other gives two installations of one version two schemas."""
    short, long = (MigrationLoader(None, replace_migrations=each) for each in (True, False))

    still_to_do = MigrationAutodetector(long.project_state(), short.project_state()).changes(long.graph)

    assert len(short.graph.nodes) < len(long.graph.nodes)
    assert still_to_do == {}


def test_what_makes_all_tables_at_once_changes_none() -> None:
    """It has the models as they are in the end: a change half-way would meet a table that is not so yet."""
    at_once = [each for each in MigrationLoader(None).graph.nodes.values() if isinstance(each, NewTables)]

    assert {type(operation) for each in at_once for operation in each.operations} == {
        CreateModel, RunPython, SeparateDatabaseAndState
    }  # fmt: skip
