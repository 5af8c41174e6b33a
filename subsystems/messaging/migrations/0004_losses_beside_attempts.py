"""Workers lost over a message are counted apart from handlers that failed."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0003_message_tallies")]

    operations = [
        migrations.AddField(
            "message",
            "losses",
            models.PositiveIntegerField(default=0, help_text="Deliveries that never came to an end"),
        ),
        migrations.AlterField(
            "message", "attempts", models.PositiveIntegerField(default=0, help_text="Times that a handler failed")
        ),
    ]
