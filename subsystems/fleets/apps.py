from django.apps import AppConfig


class FleetsConfig(AppConfig):
    name = "subsystems.fleets"
    label = "fleets"
    verbose_name = "Fleets"

    def ready(self) -> None:
        from subsystems.fleets import watching
        from subsystems.s1_operations import rounds

        rounds.register(watching.keep_rounds)
