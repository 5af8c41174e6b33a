from django.apps import AppConfig


class S2CoordinationConfig(AppConfig):
    name = "subsystems.s2_coordination"
    label = "s2_coordination"
    verbose_name = "S2 coordination"
