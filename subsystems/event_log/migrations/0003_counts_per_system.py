"""Counts of events by system and five minutes; what was counted by the hour alone is counted again from the log."""

from django.db import migrations, models

HANDLERS = (
    "OperationsHandler", "CoordinationHandler", "ControlHandler", "IntelligenceHandler", "PolicyHandler",
    "AlgedonicHandler", "VarietyHandler", "AlertsHandler",
)  # fmt: skip


def count_again(apps, schema_editor):
    """Let the handlers go through the log from the first event: live projection does it, a batch at a time."""
    apps.get_model("event_log", "EventCount").objects.all().delete()
    apps.get_model("event_log", "HandlerPosition").objects.filter(name__in=HANDLERS).update(position=0)


class Migration(migrations.Migration):
    dependencies = [("event_log", "0002_names_for_people")]

    operations = [
        migrations.RunPython(count_again, count_again, elidable=True),
        migrations.RemoveConstraint(model_name="eventcount", name="event_count_once"),
        migrations.RenameField(model_name="eventcount", old_name="hour", new_name="at"),
        migrations.AlterField(
            model_name="eventcount", name="at", field=models.DateTimeField(help_text="The start of the five minutes")
        ),
        migrations.AddField(
            model_name="eventcount",
            name="system_id",
            field=models.BigIntegerField(default=0, help_text="0 for what is of no system"),
        ),
        migrations.AlterModelOptions(
            name="eventcount", options={"ordering": ["-at", "stream", "type"]}
        ),
        migrations.AddConstraint(
            model_name="eventcount",
            constraint=models.UniqueConstraint(
                fields=("system_id", "at", "stream", "type"), name="event_count_once"
            ),
        ),
    ]
