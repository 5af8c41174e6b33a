from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "subsystems.telemetry"
    label = "telemetry"
    verbose_name = "Telemetry"
