from django.apps import AppConfig


class S3ControlConfig(AppConfig):
    name = "subsystems.s3_control"
    label = "s3_control"
    verbose_name = "S3 control"
