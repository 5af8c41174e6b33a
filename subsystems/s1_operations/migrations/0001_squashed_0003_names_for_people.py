import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('s1_operations', '0001_initial'), ('s1_operations', '0002_said_goodbye_at'), ('s1_operations', '0003_names_for_people')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='CollectionCycle',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.BigIntegerField(unique=True)),
                ('started_at', models.DateTimeField()),
                ('duration_ms', models.FloatField(null=True)),
                ('unit_count', models.PositiveIntegerField(default=0)),
                ('answered_count', models.PositiveIntegerField(default=0)),
                ('sample_count', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ['-slot'],
            },
        ),
        migrations.CreateModel(
            name='Fleet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('own', models.BooleanField(default=False, editable=False, help_text="The platform's own workers")),
                ('broker_url_sealed', models.TextField(blank=True, editable=False)),
                ('broker_display', models.CharField(blank=True, editable=False, max_length=300)),
                ('enabled', models.BooleanField(default=True, help_text='Off: nothing is asked of it and nobody is told of it')),
                ('connected_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='fleets', to='recursion.system')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('system', 'name'), name='fleet_name_per_system')],
            },
        ),
        migrations.CreateModel(
            name='Unit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(db_index=True, max_length=40)),
                ('name', models.CharField(max_length=200)),
                ('config', models.JSONField(blank=True, default=dict)),
                ('state', models.CharField(choices=[('new', 'New: nothing heard yet'), ('active', 'Active'), ('silent', 'Silent: was heard, is not heard now'), ('paused', 'Paused: not collected'), ('gone', 'Gone: left for good')], db_index=True, default='new', max_length=8)),
                ('last_seen_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('score', models.FloatField(blank=True, editable=False, null=True)),
                ('health_parts', models.JSONField(blank=True, default=dict, editable=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('fleet', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='units', to='s1_operations.fleet')),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='units', to='recursion.system')),
                ('said_goodbye_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'ordering': ['kind', 'name'],
                'constraints': [models.UniqueConstraint(fields=('system', 'kind', 'name'), name='unit_name_per_kind')],
            },
        ),
        migrations.CreateModel(
            name='CollectionFailure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.BigIntegerField()),
                ('at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('error', models.CharField(default='collection_failed', max_length=40)),
                ('details', models.CharField(max_length=300)),
                ('unit', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='collection_failures', to='s1_operations.unit')),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
    ]
