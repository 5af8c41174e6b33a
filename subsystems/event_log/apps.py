from django.apps import AppConfig


class EventLogConfig(AppConfig):
    name = "subsystems.event_log"
    verbose_name = "Event log"
