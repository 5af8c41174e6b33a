from django.apps import AppConfig


class HealthConfig(AppConfig):
    name = "subsystems.health"
    label = "health"
    verbose_name = "Health"
