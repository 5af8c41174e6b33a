"""Chunks of packed days, and partitions of every step by day: rows stay in them for a day only."""

from datetime import UTC, datetime

import django.db.models.deletion
from django.db import migrations, models

MONTHLY = ("telemetry_fiveminuterollup", "telemetry_hourrollup")


def by_days(apps, schema_editor):
    """Move the rows of partitions of a month into partitions of a day."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        for table in MONTHLY:
            cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
            for (month,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {month}")
                cursor.execute(f"SELECT DISTINCT at / 86400 * 86400 FROM {month}")
                for (day,) in cursor.fetchall():
                    name = f"{table}_d{datetime.fromtimestamp(day, UTC):%Y%m%d}"
                    cursor.execute(
                        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ({day}) TO ({day + 86_400})"
                    )
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {month}")
                cursor.execute(f"DROP TABLE {month}")


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0003_export_targets'),
    ]

    operations = [
        migrations.RunPython(by_days, migrations.RunPython.noop, elidable=True),
        migrations.CreateModel(
            name='RollupChunk',
            fields=[
                ('pk', models.CompositePrimaryKey('series_id', 'step_seconds', 'at', blank=True, editable=False, primary_key=True, serialize=False)),
                ('series', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='chunks', to='telemetry.series')),
                ('step_seconds', models.IntegerField()),
                ('at', models.BigIntegerField(help_text='Start of the chunk, epoch seconds')),
                ('rows', models.IntegerField()),
                ('samples', models.BigIntegerField(help_text='Samples that the rows sum up')),
                ('data', models.BinaryField()),
                ('sketches', models.BinaryField(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['step_seconds', 'at'], name='chunk_by_time')],
            },
        ),
    ]
