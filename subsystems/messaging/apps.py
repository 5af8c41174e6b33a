from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "subsystems.messaging"
    label = "messaging"
    verbose_name = "Messaging"
