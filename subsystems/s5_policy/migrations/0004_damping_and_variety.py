"""How a system damps and what its variety is judged by get versions: what holds now is the first one."""

from django.db import migrations

NUMBERS = (
    "relief_seconds", "longest_relief_seconds", "retreat_seconds", "longest_retreat_seconds", "factor",
    "calm_seconds", "lease_seconds", "most_extra",
)  # fmt: skip
BANDS = ("critical_below", "sufficient_from", "excess_above", "buffer_bits", "goal_bits")


def keep_rows(apps, schema_editor):
    """Let what those below go by be the first version, handed down already."""
    Policy, Version = apps.get_model("s5_policy", "Policy"), apps.get_model("s5_policy", "PolicyVersion")
    told = [
        *(("damping", row.system_id, _fields(row, ("enabled", *NUMBERS)))
          for row in apps.get_model("s2_coordination", "DampingRules").objects.all()),
        *(("variety", row.system_id, _fields(row, BANDS) | _ranges(row))
          for row in apps.get_model("variety", "VarietyPolicy").objects.all()),
    ]  # fmt: skip
    for kind, system_id, fields in told:
        policy = Policy.objects.create(system_id=system_id, kind=kind, handed_version=1)
        Version.objects.create(policy=policy, version=1, fields=fields, reason="As it was before versions were kept")


def _fields(row, names):
    return {name: getattr(row, name) for name in names}


def _ranges(row):
    return {f"{name}_{end}": value for name, ends in row.ranges.items() for end, value in zip(("low", "high"), ends)}


class Migration(migrations.Migration):

    dependencies = [
        ("s5_policy", "0003_only_versions"),
        ("s2_coordination", "0006_names_for_people"),
        ("variety", "0003_names_for_people"),
    ]

    operations = [migrations.RunPython(keep_rows, migrations.RunPython.noop, elidable=True)]
