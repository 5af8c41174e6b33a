from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("fleets", "0006_result_backend_error")]

    operations = [migrations.RenameModel("Finding", "StuckFinding")]
