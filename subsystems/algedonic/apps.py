from django.apps import AppConfig


class AlgedonicConfig(AppConfig):
    name = "subsystems.algedonic"
    verbose_name = "Algedonic signals"
