from django.apps import AppConfig


class S3ControlConfig(AppConfig):
    name = "subsystems.s3_control"
    label = "s3_control"
    verbose_name = "S3 control"

    def ready(self) -> None:
        from subsystems.fleets import pauses
        from subsystems.s3_control import standing

        pauses.register(standing.paused_queues)
