import django.utils.timezone
import subsystems.event_log.models
from django.db import migrations, models

from subsystems.event_log.migrations._append_only import allow_changes, refuse_changes
from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('event_log', '0001_initial'), ('event_log', '0002_names_for_people'), ('event_log', '0003_counts_per_system')]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ChainHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.BigIntegerField(default=0)),
                ('hash', models.BinaryField(default=subsystems.event_log.models.no_hash, max_length=32)),
                ('sequences', models.JSONField(default=dict, help_text='The last sequence of each stream')),
                ('checkpoint_position', models.BigIntegerField(default=0)),
                ('checkpoint_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'end of the chain',
                'verbose_name_plural': 'end of the chain',
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('stream', models.CharField(max_length=40)),
                ('type', models.CharField(max_length=80)),
                ('version', models.PositiveSmallIntegerField(default=1)),
                ('system_id', models.BigIntegerField(blank=True, null=True)),
                ('data', models.TextField(default='{}')),
                ('message_id', models.CharField(blank=True, max_length=64)),
                ('correlation_id', models.CharField(blank=True, max_length=64)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('sequence', models.BigIntegerField()),
                ('hash', models.BinaryField(max_length=32)),
            ],
            options={
                'ordering': ['-position'],
                'indexes': [models.Index(condition=models.Q(('correlation_id', ''), _negated=True), fields=['correlation_id'], name='event_correlation'), models.Index(condition=models.Q(('message_id', ''), _negated=True), fields=['message_id'], name='event_message'), models.Index(fields=['system_id', 'position'], name='event_system'), models.Index(fields=['type', 'position'], name='event_type')],
                'constraints': [models.UniqueConstraint(fields=('stream', 'sequence'), name='event_once_per_sequence')],
            },
        ),
        migrations.CreateModel(
            name='EventCheckpoint',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('hash', models.BinaryField(max_length=32)),
                ('signature', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['-position'],
            },
        ),
        migrations.CreateModel(
            name='EventCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stream', models.CharField(max_length=40)),
                ('type', models.CharField(max_length=80)),
                ('at', models.DateTimeField(help_text='The start of the five minutes')),
                ('count', models.BigIntegerField()),
                ('system_id', models.BigIntegerField(default=0, help_text='0 for what is of no system')),
            ],
            options={
                'ordering': ['-at', 'stream', 'type'],
                'constraints': [models.UniqueConstraint(fields=('system_id', 'at', 'stream', 'type'), name='event_count_once')],
            },
        ),
        migrations.CreateModel(
            name='HandlerPosition',
            fields=[
                ('name', models.CharField(max_length=80, primary_key=True, serialize=False)),
                ('position', models.BigIntegerField(default=0, help_text='The last event it has dealt with')),
                ('failures', models.PositiveIntegerField(default=0, help_text='In a row, at the event after its position')),
                ('last_error', models.TextField(blank=True)),
                ('retry_at', models.DateTimeField(blank=True, null=True)),
                ('replay_seen_at', models.DateTimeField(blank=True, help_text='Set while a replay is at work', null=True)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['name'],
                'verbose_name': 'position of a handler',
                'verbose_name_plural': 'positions of handlers',
            },
        ),
        migrations.CreateModel(
            name='PendingEvent',
            fields=[
                ('stream', models.CharField(max_length=40)),
                ('type', models.CharField(max_length=80)),
                ('version', models.PositiveSmallIntegerField(default=1)),
                ('system_id', models.BigIntegerField(blank=True, null=True)),
                ('data', models.TextField(default='{}')),
                ('message_id', models.CharField(blank=True, max_length=64)),
                ('correlation_id', models.CharField(blank=True, max_length=64)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
