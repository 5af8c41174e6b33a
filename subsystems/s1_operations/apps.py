from django.apps import AppConfig


class S1OperationsConfig(AppConfig):
    name = "subsystems.s1_operations"
    label = "s1_operations"
    verbose_name = "S1 operations"
