import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('s4_intelligence', '0001_patterns'), ('s4_intelligence', '0002_forecasts'), ('s4_intelligence', '0003_threats'), ('s4_intelligence', '0004_sources'), ('s4_intelligence', '0005_names_for_people'), ('s4_intelligence', '0006_sentiment')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
        ('telemetry', '0005_roles_and_kinds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Finding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('anomaly', 'Anomaly'), ('trend', 'Trend')], max_length=8)),
                ('name', models.CharField(help_text='The detector; of a trend its window', max_length=12)),
                ('started_at', models.BigIntegerField(help_text='Epoch seconds')),
                ('last_at', models.BigIntegerField()),
                ('ended_at', models.BigIntegerField(blank=True, null=True)),
                ('score', models.FloatField(help_text='Deviations at the height; of a trend its change over the window')),
                ('value', models.FloatField()),
                ('usual', models.FloatField(help_text='The median of its past')),
                ('p', models.FloatField(help_text='Of a trend: how probable it would be by chance', null=True)),
                ('series', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='intelligence_findings', to='telemetry.series')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='intelligence_findings', to='recursion.system')),
            ],
            options={
                'ordering': ['-started_at', '-pk'],
                'indexes': [models.Index(fields=['system', 'ended_at', '-started_at'], name='finding_by_system')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('series', 'kind', 'name'), name='one_open_finding')],
                'verbose_name': 'anomaly or trend',
                'verbose_name_plural': 'anomalies and trends',
            },
        ),
        migrations.CreateModel(
            name='Forecast',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('span', models.CharField(choices=[('hour', 'Hour'), ('days', 'Days')], max_length=4)),
                ('slot', models.BigIntegerField(help_text='Epoch seconds up to which the past was known')),
                ('step_seconds', models.IntegerField()),
                ('used', models.CharField(help_text='ensemble, or naive where nothing was better than that', max_length=10)),
                ('best', models.CharField(help_text='The member of the ensemble that weighs most', max_length=30)),
                ('skill', models.FloatField(help_text='1 - error / error of naive, over the back-test; of the ensemble', null=True)),
                ('error', models.FloatField(null=True)),
                ('naive_error', models.FloatField(null=True)),
                ('compared', models.IntegerField(default=0)),
                ('body', models.BinaryField()),
                ('held_slot', models.BigIntegerField(null=True)),
                ('held_body', models.BinaryField(null=True)),
                ('held_from', models.FloatField(help_text='The last value before it: what naive would have said', null=True)),
                ('judged', models.IntegerField(default=0, help_text='Values that came and were compared')),
                ('judged_error', models.FloatField(default=0.0)),
                ('judged_naive_error', models.FloatField(default=0.0)),
                ('judged_in80', models.IntegerField(default=0)),
                ('judged_in95', models.IntegerField(default=0)),
                ('series', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='forecasts', to='telemetry.series')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='forecasts', to='recursion.system')),
            ],
            options={
                'ordering': ['pk'],
                'indexes': [models.Index(fields=['system', 'span'], name='forecast_by_system')],
                'constraints': [models.UniqueConstraint(fields=('series', 'span'), name='one_forecast_per_span')],
            },
        ),
        migrations.CreateModel(
            name='Pattern',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('text', models.TextField(help_text='YAML or JSON')),
                ('description', models.CharField(blank=True, max_length=1000)),
                ('names', models.JSONField(default=list, help_text='The events that it asks for')),
                ('origin', models.CharField(blank=True, help_text='The ready-made pattern that it was made from', max_length=60)),
                ('enabled', models.BooleanField(db_index=True, default=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('changed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='patterns', to='recursion.system')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('system', 'name'), name='pattern_once_per_name')],
            },
        ),
        migrations.CreateModel(
            name='PatternCell',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('key', models.CharField(blank=True, max_length=200)),
                ('touched_at', models.FloatField()),
                ('body', models.TextField()),
                ('pattern', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='s4_intelligence.pattern')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('pattern', 'key'), name='pattern_cell_once')],
                'verbose_name': 'memory of a pattern',
                'verbose_name_plural': 'memories of patterns',
            },
        ),
        migrations.CreateModel(
            name='PatternDetection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField(help_text='Of the pattern')),
                ('key', models.CharField(blank=True, max_length=200)),
                ('level', models.PositiveSmallIntegerField(choices=[(1, 'Watch'), (2, 'Warn'), (3, 'Act')])),
                ('began_at', models.DateTimeField()),
                ('acted_at', models.DateTimeField(blank=True, help_text='When it held in full, if it did', null=True)),
                ('last_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('share', models.FloatField(help_text='How much of what it asks for was there, 0 to 1')),
                ('confidence', models.FloatField()),
                ('times', models.PositiveIntegerField(default=1, help_text='Events at which it was so')),
                ('evidence', models.JSONField(default=list, help_text='The events that made it')),
                ('consequences', models.JSONField(default=list, help_text='What its actions came to')),
                ('verdict', models.CharField(blank=True, choices=[('true', 'It was so'), ('false', 'False alarm')], max_length=5)),
                ('verdict_at', models.DateTimeField(blank=True, null=True)),
                ('comment', models.CharField(blank=True, max_length=500)),
                ('pattern', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='detections', to='s4_intelligence.pattern')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
                ('verdict_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-began_at', '-id'],
                'indexes': [models.Index(fields=['system', '-began_at'], name='pattern_detection_newest'), models.Index(fields=['pattern', '-began_at'], name='pattern_detection_of')],
                'constraints': [models.UniqueConstraint(fields=('pattern', 'version', 'key', 'began_at'), name='pattern_detection_once')],
            },
        ),
        migrations.CreateModel(
            name='PatternEngine',
            fields=[
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='recursion.system')),
                ('turn', models.BigIntegerField(default=0, help_text='Raised with each write: who has another one loads anew')),
                ('body', models.TextField(default='{}')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('seeded', models.BooleanField(default=False, help_text='The ready-made patterns were put to work here once')),
            ],
            options={
                'verbose_name': 'engine of patterns',
                'verbose_name_plural': 'engines of patterns',
            },
        ),
        migrations.CreateModel(
            name='PatternInput',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.FloatField(help_text='Epoch seconds')),
                ('type', models.CharField(max_length=80)),
                ('data', models.TextField(default='{}')),
                ('taken', models.BooleanField(default=False)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('taken', False)), fields=['id'], name='pattern_input_waiting'), models.Index(fields=['at'], name='pattern_input_at')],
                'verbose_name': 'event that waits for patterns',
                'verbose_name_plural': 'events that wait for patterns',
            },
        ),
        migrations.CreateModel(
            name='Source',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('http', 'A page: its status, a number in its JSON, its certificate'), ('metric', 'A metric: its newest value, and whether it is fresh'), ('broker', "A fleet's broker: whether it answers"), ('dependency', 'What the platform itself stands on')], max_length=10)),
                ('address', models.CharField(blank=True, help_text="A URL, a fleet's name, or a dependency", max_length=500)),
                ('metric', models.CharField(blank=True, max_length=120)),
                ('metric_source', models.CharField(blank=True, help_text='Empty: whichever is newest', max_length=200)),
                ('pointer', models.CharField(blank=True, help_text='JSON pointer to a number', max_length=200)),
                ('expect_status', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(100), django.core.validators.MaxValueValidator(599)])),
                ('every_seconds', models.PositiveIntegerField(default=300, validators=[django.core.validators.MinValueValidator(30), django.core.validators.MaxValueValidator(86400)])),
                ('timeout_seconds', models.FloatField(default=5.0, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(10.0)])),
                ('enabled', models.BooleanField(default=True)),
                ('last_scanned_at', models.BigIntegerField(editable=False, null=True)),
                ('last_ok', models.BooleanField(editable=False, null=True)),
                ('last_value', models.FloatField(editable=False, null=True)),
                ('last_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('failures', models.PositiveIntegerField(default=0, editable=False, help_text='One after the other')),
                ('certificate_days_left', models.FloatField(editable=False, null=True)),
                ('next_due_at', models.BigIntegerField(editable=False)),
                ('claim', models.UUIDField(db_index=True, editable=False, help_text='Of the round that took it last', null=True)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='environment_sources', to='recursion.system')),
                ('better', models.CharField(blank=True, choices=[('higher', 'A higher value is better'), ('lower', 'A lower value is better')], help_text='Which values are good news; empty: none is', max_length=6)),
                ('turn', models.SmallIntegerField(editable=False, help_text='Since the scan before: 1 better, -1 worse, 0 neither; null: unknown', null=True)),
            ],
            options={
                'ordering': ['name'],
                'indexes': [models.Index(fields=['enabled', 'next_due_at'], name='source_by_due')],
                'constraints': [models.UniqueConstraint(fields=('system', 'name'), name='one_source_per_name')],
                'verbose_name': 'source outside',
                'verbose_name_plural': 'sources outside',
            },
        ),
        migrations.CreateModel(
            name='Threat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=300)),
                ('kind', models.CharField(max_length=12)),
                ('subject', models.CharField(max_length=200)),
                ('title', models.CharField(max_length=300)),
                ('good', models.BooleanField(default=False, help_text='An opportunity')),
                ('chance', models.FloatField(help_text='0 to 1, from the spread of the forecast', null=True)),
                ('impact', models.FloatField(help_text='0 to 1, a judgement')),
                ('at', models.FloatField(help_text='When it is expected, epoch seconds; null: not within the forecast', null=True)),
                ('earliest', models.FloatField(null=True)),
                ('latest', models.FloatField(null=True)),
                ('advice', models.CharField(blank=True, max_length=400)),
                ('recommendation', models.UUIDField(help_text='Id of what S3 was advised', null=True)),
                ('evidence', models.JSONField(default=dict)),
                ('first_at', models.BigIntegerField()),
                ('last_at', models.BigIntegerField()),
                ('gone_at', models.BigIntegerField(null=True)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='threats', to='recursion.system')),
            ],
            options={
                'ordering': ['-last_at', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('system', 'key'), name='one_threat_per_key')],
                'verbose_name': 'threat or chance',
                'verbose_name_plural': 'threats and chances',
            },
        ),
    ]
