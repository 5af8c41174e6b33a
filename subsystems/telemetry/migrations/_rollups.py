"""The tables of roll-ups, which Django cannot make: partitioned by time on PostgreSQL, ordered by their key on SQLite."""

TABLES = ("telemetry_rollup", "telemetry_fiveminuterollup", "telemetry_hourrollup")
COLUMNS = """
    "series_id" bigint NOT NULL, "at" bigint NOT NULL, "count" bigint NOT NULL,
    "sum" {real} NOT NULL, "min" {real} NOT NULL, "max" {real} NOT NULL, "last" {real} NOT NULL, "sketch" {blob},
    PRIMARY KEY ("series_id", "at")
"""


def make_rollups(apps, schema_editor):
    run = lambda statement: schema_editor.execute(statement, params=None)
    postgresql = schema_editor.connection.vendor == "postgresql"
    for table in TABLES:
        if postgresql:
            run(f"CREATE TABLE {table} ({COLUMNS.format(real='double precision', blob='bytea')}) PARTITION BY RANGE (at)")
            run(f"CREATE INDEX {table}_age ON {table} USING brin (at) WITH (pages_per_range = 16)")
        else:
            run(f"CREATE TABLE {table} ({COLUMNS.format(real='real', blob='BLOB')}) WITHOUT ROWID")


def drop_rollups(apps, schema_editor):
    for table in TABLES:
        schema_editor.execute(f"DROP TABLE {table}")
