import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('s5_policy', '0001_initial'), ('s5_policy', '0002_versions'), ('s5_policy', '0003_only_versions'), ('s5_policy', '0004_damping_and_variety')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(max_length=64)),
                ('asked_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='recursion.system')),
                ('answer', models.TextField(blank=True)),
                ('approver', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('criterion', models.CharField(blank=True, max_length=500)),
                ('decided_by', models.CharField(blank=True, max_length=150)),
                ('judgement', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                ('outcome', models.CharField(blank=True, choices=[('met', 'met the criterion'), ('not_met', 'did not meet it')], max_length=8)),
                ('outcome_note', models.CharField(blank=True, max_length=500)),
                ('question', models.TextField(blank=True)),
                ('review_by', models.DateTimeField(blank=True, null=True)),
                ('reviewed_at', models.DateTimeField(blank=True, null=True)),
                ('reviewed_by', models.CharField(blank=True, max_length=150)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('values', models.JSONField(blank=True, default=list)),
            ],
            options={
                'ordering': ['-asked_at'],
                'indexes': [models.Index(fields=['system', 'asked_at'], name='decision_by_age'), models.Index(condition=models.Q(('criterion', ''), _negated=True), fields=['system', 'review_by'], name='decision_to_review')],
                'constraints': [models.UniqueConstraint(fields=('system', 'fingerprint', 'asked_at'), name='asked_once')],
            },
        ),
        migrations.CreateModel(
            name='Emergency',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('began_at', models.DateTimeField()),
                ('responded_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('mode', models.CharField(blank=True, max_length=8)),
                ('score', models.FloatField(null=True)),
                ('checklist', models.JSONField(blank=True, default=list)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='emergencies', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'emergencies',
                'ordering': ['-began_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('system',), name='one_emergency_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('name', models.CharField(blank=True, max_length=80)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('handed_version', models.PositiveIntegerField(default=0, editable=False)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='policies', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'policies',
                'ordering': ['kind', 'name'],
                'constraints': [models.UniqueConstraint(fields=('system', 'kind', 'name'), name='policy_once')],
            },
        ),
        migrations.CreateModel(
            name='GoalValue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value', models.FloatField()),
                ('note', models.CharField(blank=True, max_length=500)),
                ('author', models.CharField(blank=True, max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('goal', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='goal_values', to='s5_policy.policy')),
            ],
            options={
                'ordering': ['-at', '-id'],
                'indexes': [models.Index(fields=['goal', '-at'], name='goal_value_by_age')],
            },
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('fields', models.JSONField(default=dict)),
                ('changed', models.JSONField(default=dict)),
                ('values', models.JSONField(blank=True, default=list)),
                ('judgement', models.FloatField(blank=True, help_text='How well it serves them, as a person judged: 0-1', null=True)),
                ('reason', models.CharField(max_length=500)),
                ('author', models.CharField(blank=True, max_length=150)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('effective_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='s5_policy.policy')),
            ],
            options={
                'ordering': ['-version'],
                'constraints': [models.UniqueConstraint(fields=('policy', 'version'), name='one_row_per_policy_version')],
            },
        ),
    ]
