from django.apps import AppConfig


class S4IntelligenceConfig(AppConfig):
    name = "subsystems.s4_intelligence"
    label = "s4_intelligence"
    verbose_name = "S4 intelligence"

    def ready(self) -> None:
        from subsystems.s4_intelligence.patterns import listening

        listening.attach()
