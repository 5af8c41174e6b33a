"""Roll-ups of three steps, partitioned by time on PostgreSQL and ordered by their key on SQLite; the archive's days."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from subsystems.telemetry.migrations._rollups import drop_rollups, make_rollups

KEPT = '"series_id", "at", "count", "sum", "min", "max", "last"'


def make_tables(apps, schema_editor):
    run = lambda statement: schema_editor.execute(statement, params=None)
    run("ALTER TABLE telemetry_rollup RENAME TO telemetry_rollup_before")
    make_rollups(apps, schema_editor)
    if schema_editor.connection.vendor == "postgresql":
        _make_days(schema_editor, run)
    run(f"INSERT INTO telemetry_rollup ({KEPT}) SELECT {KEPT} FROM telemetry_rollup_before WHERE step_seconds = 60")
    run("DROP TABLE telemetry_rollup_before")


def _make_days(schema_editor, run):
    """Make the partitions of what is there already; a task makes those to come."""
    from datetime import UTC, datetime

    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT at / 86400 * 86400 FROM telemetry_rollup_before")
        days = [day for (day,) in cursor.fetchall()]
    for day in days:
        name = f"telemetry_rollup_d{datetime.fromtimestamp(day, UTC):%Y%m%d}"
        run(f"CREATE TABLE {name} PARTITION OF telemetry_rollup FOR VALUES FROM ({day}) TO ({day + 86_400})")


def drop_tables(apps, schema_editor):
    drop_rollups(apps, schema_editor)
    schema_editor.create_model(apps.get_model("telemetry", "Rollup"))


def summary(name):
    return migrations.CreateModel(
        name=name,
        fields=[
            ('pk', models.CompositePrimaryKey('series_id', 'at', blank=True, editable=False, primary_key=True, serialize=False)),
            ('series', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='%(class)ss', to='telemetry.series')),
            ('at', models.BigIntegerField(help_text='Start of the step, epoch seconds')),
            ('count', models.BigIntegerField()),
            ('sum', models.FloatField()),
            ('min', models.FloatField()),
            ('max', models.FloatField()),
            ('last', models.FloatField()),
            ('sketch', models.BinaryField(null=True)),
        ],
        options={'abstract': False},
    )


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(make_tables, drop_tables),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel(name='Rollup'),
                summary('Rollup'),
                summary('FiveMinuteRollup'),
                summary('HourRollup'),
            ],
        ),
        migrations.CreateModel(
            name='DueWindow',
            fields=[
                ('pk', models.CompositePrimaryKey('step_seconds', 'at', blank=True, editable=False, primary_key=True, serialize=False)),
                ('step_seconds', models.IntegerField()),
                ('at', models.BigIntegerField()),
                ('version', models.BigIntegerField(default=1)),
            ],
        ),
        migrations.CreateModel(
            name='ArchivedDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('state', models.CharField(choices=[('written', 'Written'), ('verified', 'Verified'), ('moved', 'Moved'), ('expired', 'Expired')], db_index=True, default='written', max_length=10)),
                ('path', models.CharField(help_text='Within the archive; its name holds its checksum', max_length=300)),
                ('sha256', models.CharField(max_length=64)),
                ('rows', models.BigIntegerField()),
                ('samples', models.BigIntegerField(help_text='Samples that the rows sum up')),
                ('content', models.CharField(help_text='Checksum of the rows themselves', max_length=64)),
                ('bytes', models.BigIntegerField()),
                ('written_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('verified_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-day'],
            },
        ),
    ]
