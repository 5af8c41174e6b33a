import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('variety', '0001_initial'), ('variety', '0002_ranges_of_subsystems'), ('variety', '0003_names_for_people')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('replica', models.CharField(max_length=100)),
                ('number', models.BigIntegerField()),
                ('at', models.FloatField(help_text='When it was written, epoch seconds')),
                ('merged', models.BooleanField(default=False)),
                ('body', models.BinaryField()),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'batches of operations',
                'ordering': ['pk'],
                'indexes': [models.Index(fields=['merged', 'id'], name='batch_to_merge')],
                'constraints': [models.UniqueConstraint(fields=('system', 'replica', 'number'), name='batch_once')],
                'verbose_name': 'batch of operations',
            },
        ),
        migrations.CreateModel(
            name='EventCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.BigIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'place in the event log',
                'verbose_name_plural': 'place in the event log',
            },
        ),
        migrations.CreateModel(
            name='Operation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unit', models.CharField(max_length=200)),
                ('name', models.CharField(max_length=200)),
                ('counts', models.JSONField(default=dict)),
                ('recorder', models.BinaryField()),
                ('count', models.BigIntegerField(default=0)),
                ('success', models.BigIntegerField(default=0)),
                ('slow', models.BigIntegerField(default=0)),
                ('total_ms', models.FloatField(default=0.0)),
                ('p50', models.FloatField(null=True)),
                ('p95', models.FloatField(null=True)),
                ('p99', models.FloatField(null=True)),
                ('max', models.FloatField(null=True)),
                ('expected_ms', models.FloatField(blank=True, help_text='Twice as long hurts; empty: documented or learnt', null=True, validators=[django.core.validators.MinValueValidator(0.0)])),
                ('last_at', models.FloatField(help_text='When one last ended, epoch seconds')),
                ('slow_at', models.FloatField(help_text='When one was last told to be far too slow', null=True)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='operations', to='recursion.system')),
            ],
            options={
                'ordering': ['unit', 'name'],
                'indexes': [models.Index(fields=['last_at'], name='operation_by_age')],
                'constraints': [models.UniqueConstraint(fields=('system', 'unit', 'name'), name='operation_once')],
            },
        ),
        migrations.CreateModel(
            name='Reading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.BigIntegerField()),
                ('at', models.FloatField(help_text='The end of its windows, epoch seconds')),
                ('figures', models.JSONField(default=dict)),
                ('body', models.BinaryField(null=True)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='variety_readings', to='recursion.system')),
            ],
            options={
                'ordering': ['-slot'],
                'constraints': [models.UniqueConstraint(fields=('system', 'slot'), name='one_reading_per_slot')],
                'verbose_name': 'variety reading',
                'verbose_name_plural': 'variety readings',
            },
        ),
        migrations.CreateModel(
            name='Subject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=20)),
                ('state', models.BinaryField()),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('system', 'name'), name='subject_once')],
                'verbose_name': 'subject of variety',
                'verbose_name_plural': 'subjects of variety',
            },
        ),
        migrations.CreateModel(
            name='UnitVariety',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unit', models.CharField(max_length=200)),
                ('state', models.BinaryField()),
                ('body', models.BinaryField(help_text='The panel as it is shown, packed')),
                ('at', models.FloatField(help_text='The end of its window, epoch seconds')),
                ('best_rate', models.FloatField(default=0.0, help_text='The highest rate of five minutes, operations a second')),
                ('capability', models.FloatField(blank=True, help_text='Operations a second', null=True, validators=[django.core.validators.MinValueValidator(0.0)])),
                ('potentiality', models.FloatField(blank=True, help_text='Operations a second', null=True, validators=[django.core.validators.MinValueValidator(0.0)])),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'verbose_name_plural': 'varieties of units',
                'ordering': ['unit'],
                'constraints': [models.UniqueConstraint(fields=('system', 'unit'), name='unit_variety_once')],
                'verbose_name': 'variety of a unit',
            },
        ),
        migrations.CreateModel(
            name='VarietyPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('critical_below', models.FloatField(default=0.8, help_text='A ratio of what can be answered to what may come, below which it is critical', validators=[django.core.validators.MinValueValidator(0.0)])),
                ('sufficient_from', models.FloatField(default=1.0, help_text='From this ratio on it is sufficient', validators=[django.core.validators.MinValueValidator(0.0)])),
                ('excess_above', models.FloatField(default=1.5, help_text='Above this ratio more is held ready than is needed', validators=[django.core.validators.MinValueValidator(0.0)])),
                ('buffer_bits', models.FloatField(default=0.0, help_text='What queues and reserves absorb', validators=[django.core.validators.MinValueValidator(0.0)])),
                ('goal_bits', models.FloatField(default=0.0, help_text='Variety of outcomes that is allowed', validators=[django.core.validators.MinValueValidator(0.0)])),
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='variety_policy', to='recursion.system')),
                ('ranges', models.JSONField(blank=True, default=dict, help_text='Bits of S1 to S5 that differ from what is documented: {"s1": [2.0, 4.0]}')),
            ],
            options={
                'verbose_name_plural': 'variety policies',
            },
        ),
    ]
