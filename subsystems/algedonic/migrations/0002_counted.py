"""Whether a signal was counted is told apart from whether it was heard."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("algedonic", "0001_signals")]

    operations = [
        migrations.AddField("signal", "counted", models.BooleanField(default=False, editable=False)),
        migrations.RunSQL(
            "UPDATE algedonic_signal SET counted = true WHERE received_at IS NOT NULL",
            migrations.RunSQL.noop,
            elidable=True,
        ),
    ]
