import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from subsystems.new_tables import NewTables
from subsystems.telemetry.migrations._rollups import drop_rollups, make_rollups


def rollup(name):
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


class Migration(NewTables):

    replaces = [('telemetry', '0001_initial'), ('telemetry', '0002_steps_and_archive'), ('telemetry', '0003_export_targets'), ('telemetry', '0004_packed_days'), ('telemetry', '0005_roles_and_kinds')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
    ]

    operations = [
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
            name='ExportTarget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-zA-Z0-9_.-]+\\Z', "Letters, digits, '_', '.', '-'.")])),
                ('kind', models.CharField(choices=[('otlp', 'OpenTelemetry (OTLP over HTTP)'), ('remote_write', 'Prometheus remote write'), ('statsd', 'StatsD'), ('dogstatsd', 'DogStatsD (Datadog)')], max_length=12)),
                ('address', models.CharField(help_text='http(s)://host:port/path, or host:port for StatsD. Inside ones need VSM_HTTP_ALLOW.', max_length=300)),
                ('period_seconds', models.PositiveSmallIntegerField(choices=[(10, 'Ten'), (20, 'Twenty'), (30, 'Thirty')], default=10)),
                ('prefixes', models.CharField(blank=True, help_text='Only metrics that begin so, such as vsm_,celery_. Empty: all', max_length=300)),
                ('enabled', models.BooleanField(default=True)),
                ('headers_sealed', models.TextField(blank=True, editable=False)),
                ('header_names', models.CharField(blank=True, editable=False, max_length=300)),
                ('sent_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('failures', models.PositiveIntegerField(default=0, editable=False)),
                ('retry_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('sent_samples', models.BigIntegerField(default=0, editable=False)),
                ('dropped_samples', models.BigIntegerField(default=0, editable=False)),
                ('system', models.ForeignKey(blank=True, help_text="Empty: every system, and the platform's own health", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Series',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(max_length=200)),
                ('metric', models.CharField(max_length=120)),
                ('labels', models.JSONField(blank=True, default=dict)),
                ('key', models.CharField(editable=False, max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='series', to='recursion.system')),
                ('kind', models.CharField(blank=True, default='', help_text='gauge, counter (counts up) or delta (what was added since)', max_length=8)),
                ('merged_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('merged_into', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='members', to='telemetry.series')),
            ],
            options={
                'verbose_name_plural': 'series',
                'ordering': ['source', 'metric'],
                'indexes': [models.Index(fields=['system', 'metric', 'source'], name='series_by_metric')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make_rollups, drop_rollups)],
            state_operations=[rollup('Rollup'), rollup('FiveMinuteRollup'), rollup('HourRollup')],
        ),
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
