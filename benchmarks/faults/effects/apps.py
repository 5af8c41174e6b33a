from django.apps import AppConfig


class EffectsConfig(AppConfig):
    name = "benchmarks.faults.effects"
    label = "effects"
    default_auto_field = "django.db.models.BigAutoField"
