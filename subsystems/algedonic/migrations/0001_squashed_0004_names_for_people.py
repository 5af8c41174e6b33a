import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import subsystems.algedonic.models
from django.conf import settings
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('algedonic', '0001_signals'), ('algedonic', '0002_counted'), ('algedonic', '0003_uncounted'), ('algedonic', '0004_names_for_people')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CanaryRun',
            fields=[
                ('id', models.CharField(default=subsystems.algedonic.models.new_signal_id, editable=False, max_length=32, primary_key=True, serialize=False)),
                ('sent_at', models.DateTimeField(db_index=True)),
                ('received_at', models.DateTimeField(blank=True, null=True)),
                ('latency_seconds', models.FloatField(blank=True, null=True)),
                ('lost', models.BooleanField(default=False, help_text='Not through within 30 s')),
            ],
            options={
                'ordering': ['-sent_at'],
                'verbose_name': 'canary of the lane',
                'verbose_name_plural': 'canaries of the lane',
            },
        ),
        migrations.CreateModel(
            name='Signal',
            fields=[
                ('id', models.CharField(default=subsystems.algedonic.models.new_signal_id, editable=False, max_length=32, primary_key=True, serialize=False)),
                ('type', models.CharField(choices=[('pain', 'Pain'), ('pleasure', 'Pleasure')], max_length=8)),
                ('severity', models.CharField(choices=[('critical', 'Critical'), ('high', 'High'), ('medium', 'Medium'), ('low', 'Low')], max_length=8)),
                ('intensity', models.FloatField(help_text='0 to 1')),
                ('source', models.CharField(max_length=200)),
                ('origin', models.CharField(help_text='The party on whose behalf it was raised', max_length=20)),
                ('description', models.TextField(blank=True)),
                ('data', models.JSONField(default=dict)),
                ('fingerprint', models.CharField(editable=False, max_length=64)),
                ('raised_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('received_at', models.DateTimeField(blank=True, help_text='When a first recipient recorded it', null=True)),
                ('last_seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('times_seen', models.PositiveIntegerField(default=1)),
                ('suppressed_count', models.PositiveIntegerField(default=0, help_text='Signals of the same source and type that the rate limit refused since')),
                ('state', models.CharField(choices=[('received', 'Received'), ('investigating', 'Investigating'), ('responding', 'Responding'), ('resolved', 'Resolved'), ('false_alarm', 'false alarm')], default='received', max_length=13)),
                ('acknowledged_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('deadline_at', models.DateTimeField(blank=True, help_text='When somebody must have answered', null=True)),
                ('escalation_level', models.PositiveIntegerField(default=0)),
                ('aggregate', models.BooleanField(default=False, help_text='Stands for a pattern of similar signals')),
                ('pattern_count', models.PositiveIntegerField(blank=True, null=True)),
                ('hop_count', models.PositiveSmallIntegerField(default=0)),
                ('acknowledged_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('child_signal', models.OneToOneField(blank=True, help_text='The signal of a child system that this one passes on', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='parent_signal', to='algedonic.signal')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='signals', to='recursion.system')),
                ('counted', models.BooleanField(default=False, editable=False)),
            ],
            options={
                'ordering': ['-raised_at', '-id'],
                'indexes': [models.Index(fields=['-raised_at', '-id'], name='signal_newest'), models.Index(fields=['system', '-raised_at'], name='signal_of_system'), models.Index(fields=['system', 'source', 'type', '-raised_at'], name='signal_similar'), models.Index(condition=models.Q(('state__in', ['received', 'investigating', 'responding'])), fields=['fingerprint'], name='signal_open_twin'), models.Index(condition=models.Q(('state', 'received')), fields=['deadline_at'], name='signal_due'), models.Index(condition=models.Q(('deadline_at', None), ('state', 'received')), fields=['expires_at'], name='signal_unanswerable'), models.Index(condition=models.Q(('counted', False)), fields=['system'], name='signal_uncounted')],
            },
        ),
        migrations.CreateModel(
            name='Lane',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('lost_total', models.PositiveBigIntegerField(default=0)),
                ('watched_at', models.DateTimeField(blank=True, help_text='When anybody last looked', null=True)),
                ('watching_since', models.DateTimeField(blank=True, help_text='Without a pause of more than 30 s', null=True)),
                ('signal', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='algedonic.signal')),
            ],
            options={
                'verbose_name': 'state of the lane',
                'verbose_name_plural': 'state of the lane',
            },
        ),
        migrations.CreateModel(
            name='SignalNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('from_state', models.CharField(choices=[('received', 'Received'), ('investigating', 'Investigating'), ('responding', 'Responding'), ('resolved', 'Resolved'), ('false_alarm', 'false alarm')], max_length=13)),
                ('to_state', models.CharField(choices=[('received', 'Received'), ('investigating', 'Investigating'), ('responding', 'Responding'), ('resolved', 'Resolved'), ('false_alarm', 'false alarm')], max_length=13)),
                ('comment', models.CharField(blank=True, max_length=500)),
                ('by', models.ForeignKey(blank=True, help_text='Empty: the platform itself', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('signal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='algedonic.signal')),
            ],
            options={
                'ordering': ['at', 'pk'],
                'verbose_name': 'step of a signal',
                'verbose_name_plural': 'steps of signals',
            },
        ),
        migrations.CreateModel(
            name='SignalPattern',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(max_length=200)),
                ('type', models.CharField(choices=[('pain', 'Pain'), ('pleasure', 'Pleasure')], max_length=8)),
                ('recent', models.JSONField(default=list, help_text='The last times, epoch seconds')),
                ('fired_at', models.FloatField(blank=True, null=True)),
                ('noted_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('aggregate', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='algedonic.signal')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('system', 'source', 'type'), name='one_pattern_per_source')],
            },
        ),
        migrations.CreateModel(
            name='SignalPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pain_threshold', models.FloatField(default=0.7, help_text='An intensity from 0 to 1 from which pain is felt', validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                ('pleasure_threshold', models.FloatField(default=0.8, help_text='An intensity from 0 to 1 from which pleasure is felt', validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                ('high_goes_to', models.CharField(choices=[('s4_and_s5', 'S4, and a copy to S5'), ('s4', 'S4 alone'), ('s5', 'S5 alone')], default='s4_and_s5', help_text='Who hears of signals of high severity', max_length=10)),
                ('pattern_window_seconds', models.PositiveIntegerField(default=300, help_text='Signals of one source and type are counted within this time', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('pattern_more_than', models.PositiveSmallIntegerField(default=5, help_text='More than so many make a pattern', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)])),
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='signal_policy', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'signal policies',
            },
        ),
        migrations.CreateModel(
            name='SignalRoute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('party', models.CharField(max_length=20)),
                ('level', models.PositiveIntegerField(default=0)),
                ('told_at', models.DateTimeField()),
                ('heard_at', models.DateTimeField(blank=True, null=True)),
                ('signal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='algedonic.signal')),
            ],
            options={
                'ordering': ['level', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('signal', 'party', 'level'), name='told_once_per_level')],
                'verbose_name': 'party told of a signal',
                'verbose_name_plural': 'parties told of signals',
            },
        ),
        migrations.CreateModel(
            name='SignalTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(choices=[('pain', 'Pain'), ('pleasure', 'Pleasure')], max_length=8)),
                ('severity', models.CharField(choices=[('critical', 'Critical'), ('high', 'High'), ('medium', 'Medium'), ('low', 'Low')], max_length=8)),
                ('count', models.PositiveBigIntegerField(default=0)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'signal tallies',
                'constraints': [models.UniqueConstraint(fields=('system', 'type', 'severity'), name='one_tally_per_kind')],
            },
        ),
    ]
