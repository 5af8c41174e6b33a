"""The triggers of the table of actions."""

# An audit trail that its writers can change is none. What an action said at the start stays, an end stays an end, and
# nothing is deleted; links to what may be forgotten (system, fleet, person) may become empty.
FIXED = "id, fleet_name, kind, target, parameters, reason, dry_run, actor, via, requested_at"
ENDED = "OLD.state IN ('applied', 'verified', 'failed', 'rehearsed')"
POSTGRESQL = [
    """CREATE FUNCTION s3_control_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'an action is history: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
    END $$""",
    """CREATE TRIGGER append_only BEFORE DELETE ON s3_control_action
    FOR EACH ROW EXECUTE FUNCTION s3_control_refuse()""",
    f"""CREATE TRIGGER fixed BEFORE UPDATE OF {FIXED} ON s3_control_action
    FOR EACH ROW EXECUTE FUNCTION s3_control_refuse()""",
    f"""CREATE TRIGGER ended BEFORE UPDATE OF state, before, after, detail, done, failed, total ON s3_control_action
    FOR EACH ROW WHEN ({ENDED}) EXECUTE FUNCTION s3_control_refuse()""",
    "ALTER TABLE s3_control_action ENABLE ALWAYS TRIGGER append_only",
]
SQLITE = [
    """CREATE TRIGGER s3_control_action_no_delete BEFORE DELETE ON s3_control_action
    BEGIN SELECT RAISE(ABORT, 'an action is history: DELETE is refused'); END""",
    f"""CREATE TRIGGER s3_control_action_fixed BEFORE UPDATE OF {FIXED} ON s3_control_action
    BEGIN SELECT RAISE(ABORT, 'an action is history: UPDATE is refused'); END""",
    f"""CREATE TRIGGER s3_control_action_ended BEFORE UPDATE OF state, before, after, detail, done, failed, total
    ON s3_control_action WHEN {ENDED}
    BEGIN SELECT RAISE(ABORT, 'an action is history: UPDATE is refused'); END""",
]
UNDO_POSTGRESQL = [
    *(f"DROP TRIGGER {name} ON s3_control_action" for name in ("append_only", "fixed", "ended")),
    "DROP FUNCTION s3_control_refuse()",
]
UNDO_SQLITE = [f"DROP TRIGGER s3_control_action_{name}" for name in ("no_delete", "fixed", "ended")]


def refuse_changes(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement, params=None)


def allow_changes(apps, schema_editor):
    for statement in UNDO_POSTGRESQL if schema_editor.connection.vendor == "postgresql" else UNDO_SQLITE:
        schema_editor.execute(statement, params=None)
