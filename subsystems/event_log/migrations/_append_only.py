"""The triggers of the log's tables."""

# What is sealed is neither changed nor taken away, whoever is connected: the owner of the tables is refused too.
APPEND_ONLY = ("event_log_event", "event_log_eventcheckpoint")
POSTGRESQL = """
CREATE FUNCTION event_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
"""
POSTGRESQL_TABLE = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION event_log_refuse();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only;
"""
SQLITE_TABLE = [
    """CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, '{table} is append-only: UPDATE is refused'); END""",
    """CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
    BEGIN SELECT RAISE(ABORT, '{table} is append-only: DELETE is refused'); END""",
    # REPLACE takes a row away without asking the trigger above.
    """CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
    WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
    BEGIN SELECT RAISE(ABORT, '{table} is append-only: REPLACE is refused'); END""",
]
SAME = {
    "event_log_event": "position = NEW.position OR (stream = NEW.stream AND sequence = NEW.sequence)",
    "event_log_eventcheckpoint": "position = NEW.position",
}


def refuse_changes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, params=None)
        for table in APPEND_ONLY:
            schema_editor.execute(POSTGRESQL_TABLE.format(table=table), params=None)
    else:
        for table in APPEND_ONLY:
            for statement in SQLITE_TABLE:
                schema_editor.execute(statement.format(table=table, same=SAME[table]), params=None)


def allow_changes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in APPEND_ONLY:
            schema_editor.execute(f"DROP TRIGGER append_only ON {table}")
        schema_editor.execute("DROP FUNCTION event_log_refuse()")
    else:
        for table in APPEND_ONLY:
            for what in ("update", "delete", "replace"):
                schema_editor.execute(f"DROP TRIGGER {table}_no_{what}")
