import django.core.validators
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('s2_coordination', '0001_initial'), ('s2_coordination', '0002_dampers'), ('s2_coordination', '0003_coordination'), ('s2_coordination', '0004_unfair_shares'), ('s2_coordination', '0005_learnt_waits'), ('s2_coordination', '0006_names_for_people')]

    initial = True

    dependencies = [
        ('algedonic', '0003_uncounted'),
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('recursion', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BeatLease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('holder', models.CharField(blank=True, max_length=120)),
                ('epoch', models.BigIntegerField(default=0)),
                ('taken_at', models.DateTimeField(null=True)),
                ('renewed_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'lease of the leading beat',
                'verbose_name_plural': 'lease of the leading beat',
            },
        ),
        migrations.CreateModel(
            name='BeatProcess',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['name'],
                'verbose_name': 'beat process',
                'verbose_name_plural': 'beat processes',
            },
        ),
        migrations.CreateModel(
            name='CoordinationFinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('oscillation', 'Oscillation'), ('rapid_adjustments', 'Rapid adjustments'), ('clash', 'Clash of writers'), ('shared_queue', 'Shared queue'), ('collision', 'Collision of schedules'), ('unfair', 'Unfair share')], max_length=20)),
                ('area', models.CharField(max_length=12)),
                ('subject', models.CharField(max_length=300)),
                ('title', models.CharField(max_length=300)),
                ('summary', models.CharField(max_length=1000)),
                ('suggestion', models.CharField(max_length=1000)),
                ('measure', models.CharField(blank=True, help_text='What S2 did about it; empty: nothing by itself', max_length=300)),
                ('evidence', models.JSONField(default=dict)),
                ('found_at', models.DateTimeField(db_index=True)),
                ('seen_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_why', models.CharField(blank=True, max_length=200)),
                ('signal', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='algedonic.signal')),
                ('system', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='coordination_findings', to='recursion.system')),
            ],
            options={
                'ordering': ['-found_at', '-pk'],
                'indexes': [models.Index(fields=['system', 'found_at'], name='coordination_by_time')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('system', 'kind', 'area', 'subject'), name='coordination_found_once')],
            },
        ),
        migrations.CreateModel(
            name='CoordinationReading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.BigIntegerField()),
                ('at', models.DateTimeField(db_index=True)),
                ('body', models.JSONField(default=dict)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'ordering': ['-slot'],
                'constraints': [models.UniqueConstraint(fields=('system', 'slot'), name='one_coordination_reading')],
            },
        ),
        migrations.CreateModel(
            name='Damper',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(max_length=200)),
                ('direction', models.SmallIntegerField(default=0)),
                ('acted_at', models.DateTimeField(null=True)),
                ('reversals', models.PositiveSmallIntegerField(default=0)),
                ('unrest_at', models.DateTimeField(null=True)),
                ('token', models.CharField(blank=True, max_length=32)),
                ('leased_to', models.CharField(blank=True, max_length=100)),
                ('leased_until', models.DateTimeField(null=True)),
                ('held_since', models.DateTimeField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('held_why', models.CharField(blank=True, max_length=300)),
                ('asked_at', models.DateTimeField(null=True)),
                ('epoch', models.BigIntegerField(default=0)),
                ('system', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dampers', to='recursion.system')),
                ('idle_since', models.DateTimeField(null=True)),
                ('period_at', models.DateTimeField(null=True)),
                ('period_seconds', models.FloatField(null=True)),
                ('returns_seconds', models.FloatField(default=0.0)),
            ],
            options={
                'ordering': ['subject'],
                'constraints': [models.UniqueConstraint(fields=('system', 'subject'), name='one_damper_per_subject')],
            },
        ),
        migrations.CreateModel(
            name='Clearing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('writer', models.CharField(blank=True, max_length=100)),
                ('direction', models.SmallIntegerField()),
                ('code', models.CharField(max_length=10)),
                ('reason', models.CharField(blank=True, max_length=300)),
                ('asked_at', models.DateTimeField()),
                ('last_at', models.DateTimeField(db_index=True)),
                ('times', models.PositiveIntegerField(default=1)),
                ('retry_at', models.DateTimeField(null=True)),
                ('reversal', models.BooleanField(default=False)),
                ('token', models.CharField(blank=True, max_length=32)),
                ('told', models.BooleanField(default=False)),
                ('done', models.BooleanField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('damper', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='clearings', to='s2_coordination.damper')),
                ('held_by', models.CharField(blank=True, max_length=100)),
            ],
            options={
                'ordering': ['-pk'],
                'indexes': [models.Index(fields=['damper', '-last_at'], name='clearing_of_damper')],
                'verbose_name': 'clearance',
                'verbose_name_plural': 'clearances',
            },
        ),
        migrations.CreateModel(
            name='DampingRules',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('enabled', models.BooleanField(default=True, help_text='Off: only two writers at once are still kept apart')),
                ('relief_seconds', models.FloatField(default=0.0, help_text='So long what adds waits after something was taken away; doubled by each reversal')),
                ('longest_relief_seconds', models.FloatField(default=60.0, help_text='However often it is doubled, it waits no longer')),
                ('retreat_seconds', models.FloatField(default=300.0, help_text='So long what was added must not have been needed before it is taken away; doubled by each reversal')),
                ('longest_retreat_seconds', models.FloatField(default=7200.0, help_text='However often it is doubled, it waits no longer')),
                ('factor', models.FloatField(default=2.0, help_text='By how much each reversal lengthens the wait')),
                ('calm_seconds', models.FloatField(default=3600.0, help_text='After so long without unrest one reversal is forgotten')),
                ('lease_seconds', models.FloatField(default=60.0, help_text='So long a subject belongs to who was cleared')),
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='damping_rules', to='recursion.system')),
                ('most_extra', models.FloatField(default=1.5, help_text='The price: where more than so many times what is needed stands idle, only the first wait holds')),
            ],
            options={
                'verbose_name_plural': 'damping rules',
            },
        ),
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('overlap', models.CharField(choices=[('skip', 'skip'), ('queue', 'queue'), ('allow', 'allow')], default='skip', help_text='What is done when a run is due and the one before it still goes', max_length=5)),
                ('catch_up', models.CharField(choices=[('none', 'none'), ('latest', 'latest'), ('all', 'all')], default='latest', help_text='Which of the times that an outage made it miss are run afterwards', max_length=6)),
                ('catch_up_limit', models.PositiveSmallIntegerField(default=10, help_text='With catch-up of all: at most so many', validators=[django.core.validators.MaxValueValidator(1000)])),
                ('grace_seconds', models.PositiveIntegerField(default=60, help_text='A run that has not begun so long after it was due raises pain', validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(604800)])),
                ('longest_run_seconds', models.PositiveIntegerField(default=3600, help_text='A run that has not ended so long after it was sent is taken for lost, and holds up no other', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(2592000)])),
                ('paused_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('paused_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('pause_reason', models.CharField(blank=True, editable=False, max_length=200)),
                ('anchor_at', models.DateTimeField(editable=False, help_text='Intervals count from here')),
                ('decided_until', models.DateTimeField(editable=False, help_text='About every due time up to here it is decided')),
                ('next_due_at', models.DateTimeField(blank=True, db_index=True, editable=False, null=True)),
                ('enabled_seen', models.BooleanField(default=False, editable=False)),
                ('problem', models.CharField(blank=True, editable=False, help_text='Why it cannot run', max_length=200)),
                ('paused_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='steward', to='django_celery_beat.periodictask')),
            ],
            options={
                'ordering': ['task__name'],
                'verbose_name': 'schedule policy',
                'verbose_name_plural': 'schedule policies',
            },
        ),
        migrations.CreateModel(
            name='ScheduleRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('due_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('due', 'Due: to be sent'), ('waiting', 'Waiting for the run before it'), ('sent', 'Sent: no worker has begun'), ('running', 'Running'), ('retrying', 'Retrying'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('skipped', 'Skipped'), ('expired', 'Expired: no worker began in time'), ('lost', 'Lost: no end was seen')], default='due', max_length=9)),
                ('reason', models.CharField(blank=True, max_length=20)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('late', models.BooleanField(default=False, help_text='Caught up on after an outage')),
                ('epoch', models.BigIntegerField(default=0, help_text='The reign of the beat that decided')),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('worker', models.CharField(blank=True, max_length=200)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('schedule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='s2_coordination.schedule')),
            ],
            options={
                'ordering': ['-due_at'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['due', 'waiting', 'sent', 'running', 'retrying'])), fields=['state', 'due_at'], name='schedule_runs_open'), models.Index(fields=['due_at'], name='schedule_runs_by_age')],
                'constraints': [models.UniqueConstraint(fields=('schedule', 'due_at'), name='schedule_runs_once')],
            },
        ),
        migrations.CreateModel(
            name='TenantShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('weight', models.FloatField(default=1.0, help_text='From 0.01 to 1000; who has 2 may claim twice what who has 1 may', validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(1000.0)])),
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='tenant_share', to='recursion.system')),
            ],
            options={
                'verbose_name': 'share of a system',
                'verbose_name_plural': 'shares of systems',
            },
        ),
    ]
