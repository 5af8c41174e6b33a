from django.apps import AppConfig


class VarietyConfig(AppConfig):
    name = "subsystems.variety"
    label = "variety"
    verbose_name = "Variety"
