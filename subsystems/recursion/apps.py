from django.apps import AppConfig


class RecursionConfig(AppConfig):
    name = "subsystems.recursion"
    label = "recursion"
    verbose_name = "Recursion"
