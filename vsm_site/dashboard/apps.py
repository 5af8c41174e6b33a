from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out


class DashboardConfig(AppConfig):
    name = "vsm_site.dashboard"
    label = "dashboard"
    verbose_name = "Dashboard"

    def ready(self) -> None:
        from vsm_site.dashboard import sessions  # it needs the models

        user_logged_out.connect(sessions.end)
