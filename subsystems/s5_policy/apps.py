from django.apps import AppConfig


class S5PolicyConfig(AppConfig):
    name = "subsystems.s5_policy"
    label = "s5_policy"
    verbose_name = "S5 policy"
