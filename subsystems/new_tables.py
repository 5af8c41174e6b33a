"""What the first migration of each room is: tables that are made, of which none is changed."""

from __future__ import annotations

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState


class NewTables(Migration):
    """Makes its tables from one rendering of all models. Only for operations of which none changes what another made.

    Django renders each model again, and those that relate to what it relates to, for every table that is made. As
    nearly all relate to System, that was nine in ten of the work on an empty database.
    """

    def apply(
        self, project_state: ProjectState, schema_editor: BaseDatabaseSchemaEditor, collect_sql: bool = False
    ) -> ProjectState:
        state = self.mutate_state(ProjectState(project_state.models, project_state.real_apps), preserve=False)
        for operation in self.operations:
            operation.database_forwards(self.app_label, schema_editor, state, state)
        return state
