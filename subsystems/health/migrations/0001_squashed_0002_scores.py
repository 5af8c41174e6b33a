import django.db.models.deletion
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('health', '0001_initial'), ('health', '0002_scores')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Assessment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.BigIntegerField()),
                ('assessed_at', models.DateTimeField(db_index=True)),
                ('subsystems', models.JSONField(default=dict)),
                ('overall_health', models.FloatField(null=True)),
                ('score', models.FloatField(null=True)),
                ('status', models.CharField(max_length=10)),
                ('parts', models.JSONField(default=list)),
                ('weakest_link', models.JSONField(null=True)),
                ('geometric', models.FloatField(null=True)),
                ('structural', models.JSONField(default=dict)),
                ('details', models.JSONField(default=dict)),
                ('system', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='assessments', to='recursion.system')),
            ],
            options={
                'ordering': ['-slot'],
                'constraints': [models.UniqueConstraint(fields=('system', 'slot'), name='one_assessment_per_slot')],
            },
        ),
        migrations.CreateModel(
            name='ScoreSheet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('body', models.JSONField(default=dict)),
                ('system', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='score_sheet', to='recursion.system')),
            ],
        ),
    ]
