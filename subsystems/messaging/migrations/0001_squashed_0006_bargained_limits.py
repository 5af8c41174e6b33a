import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from subsystems.new_tables import NewTables


class Migration(NewTables):

    replaces = [('messaging', '0001_initial'), ('messaging', '0002_messages_with_their_story'), ('messaging', '0003_message_tallies'), ('messaging', '0004_losses_beside_attempts'), ('messaging', '0005_names_for_people'), ('messaging', '0006_bargained_limits')]

    initial = True

    dependencies = [
        ('recursion', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Message',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('id', models.CharField(editable=False, max_length=64, unique=True)),
                ('channel', models.CharField(max_length=20)),
                ('sender', models.CharField(max_length=20)),
                ('recipient', models.CharField(max_length=20)),
                ('type', models.CharField(max_length=80)),
                ('payload', models.JSONField(default=dict)),
                ('batch', models.BinaryField(null=True)),
                ('count', models.PositiveIntegerField(default=1)),
                ('metadata', models.JSONField(default=dict)),
                ('extra', models.JSONField(default=dict)),
                ('correlation_id', models.CharField(blank=True, max_length=64)),
                ('reply_to', models.CharField(blank=True, max_length=64)),
                ('reply_by', models.DateTimeField(blank=True, null=True)),
                ('reply_state', models.CharField(blank=True, choices=[('', 'None'), ('open', 'Open'), ('answered', 'Answered'), ('expired', 'Expired')], default='', max_length=10)),
                ('hop_count', models.PositiveSmallIntegerField(default=0)),
                ('priority', models.PositiveSmallIntegerField(default=5)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sent', 'Sent'), ('handled', 'Handled'), ('dead', 'Dead'), ('expired', 'Expired')], default='waiting', max_length=10)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('claimed_by', models.UUIDField(editable=False, null=True)),
                ('sends', models.PositiveIntegerField(default=0)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('handled_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0, help_text='Times that a handler failed')),
                ('last_error', models.TextField(blank=True)),
                ('system', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
                ('losses', models.PositiveIntegerField(default=0, help_text='Deliveries that never came to an end')),
            ],
            options={
                'ordering': ['-number'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['waiting', 'sent'])), fields=['due_at'], name='message_due'), models.Index(condition=models.Q(('priority__gte', 8), ('state__in', ['waiting', 'sent'])), fields=['due_at'], name='message_urgent_due'), models.Index(condition=models.Q(('state__in', ['waiting', 'sent'])), fields=['channel', 'created_at'], name='message_open'), models.Index(condition=models.Q(('correlation_id', ''), _negated=True), fields=['correlation_id'], name='message_correlation'), models.Index(condition=models.Q(('reply_state', 'open')), fields=['reply_by'], name='message_reply'), models.Index(fields=['created_at'], name='message_created')],
            },
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(blank=True, max_length=80)),
                ('reason', models.CharField(max_length=40)),
                ('detail', models.TextField(blank=True)),
                ('headers', models.JSONField(default=dict)),
                ('body', models.BinaryField(help_text='As it came, when it was not one of ours', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('replayed_at', models.DateTimeField(blank=True, null=True)),
                ('replayed_by', models.CharField(blank=True, max_length=150)),
                ('message', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='dead_letters', to='messaging.message')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('handler', models.CharField(max_length=80)),
                ('state', models.CharField(choices=[('handled', 'Handled'), ('failed', 'Failed'), ('dead', 'Dead')], max_length=10)),
                ('attempts', models.PositiveIntegerField(default=1)),
                ('history', models.JSONField(default=list, help_text='One entry per failed attempt: at, error, worker')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='messaging.message')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'constraints': [models.UniqueConstraint(fields=('message', 'handler'), name='handled_once')],
            },
        ),
        migrations.CreateModel(
            name='MessageTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('system_id', models.BigIntegerField(default=0, help_text='0: of no system')),
                ('channel', models.CharField(max_length=20)),
                ('sender', models.CharField(max_length=20)),
                ('recipient', models.CharField(max_length=20)),
                ('count', models.BigIntegerField(default=0)),
                ('up_to', models.BigIntegerField(default=0, help_text='Messages up to this number are counted here')),
            ],
            options={
                'verbose_name_plural': 'message tallies',
                'constraints': [models.UniqueConstraint(fields=('system_id', 'channel', 'sender', 'recipient'), name='one_message_tally')],
            },
        ),
        migrations.CreateModel(
            name='RateLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('layer', models.CharField(choices=[('system', 'system'), ('bargain', 'bargain'), ('subsystem', 'subsystem'), ('severity', 'severity'), ('priority', 'priority')], help_text='Where it is counted', max_length=20)),
                ('key', models.CharField(blank=True, help_text='Which severity (high, medium, low), priority (high, normal, low) or subsystem (s1; empty: each)', max_length=20)),
                ('limit', models.PositiveIntegerField(help_text='So many in each period', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('period_seconds', models.PositiveIntegerField(default=60, help_text='In which the limit is counted', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('burst', models.PositiveIntegerField(help_text='So many at once after a pause', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('enabled', models.BooleanField(default=True, help_text='Off: nothing is refused here; without a row, the default')),
                ('system', models.ForeignKey(blank=True, help_text='Empty: every system', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recursion.system')),
            ],
            options={
                'ordering': ['layer', 'key'],
                'constraints': [models.UniqueConstraint(fields=('system', 'layer', 'key'), name='one_limit_per_place'), models.UniqueConstraint(condition=models.Q(('system', None)), fields=('layer', 'key'), name='one_limit_for_all_per_place'), models.CheckConstraint(condition=models.Q(('burst__range', (1, 1000000)), ('limit__range', (1, 1000000)), ('period_seconds__range', (1, 86400))), name='rate_limit_sane')],
            },
        ),
        migrations.CreateModel(
            name='SlotRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job', models.CharField(max_length=60)),
                ('slot', models.BigIntegerField(help_text='Start of the slot, epoch seconds')),
                ('period_seconds', models.PositiveIntegerField()),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('scheduled', models.BooleanField(default=True, help_text='Off: done when something happens, not in each slot')),
            ],
            options={
                'ordering': ['-slot'],
                'constraints': [models.UniqueConstraint(fields=('job', 'slot'), name='slot_runs_once')],
                'verbose_name': 'run of a slot',
                'verbose_name_plural': 'runs of slots',
            },
        ),
    ]
