from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_save


class DashboardConfig(AppConfig):
    name = "vsm_site.dashboard"
    label = "dashboard"
    verbose_name = "Dashboard"

    def ready(self) -> None:
        from vsm_site.dashboard import sessions  # it needs the models

        user_logged_out.connect(sessions.end)
        for model in ("recursion.Membership", "auth.User"):
            post_save.connect(sessions.rights_changed, sender=model, dispatch_uid=f"rights of {model}")
            post_delete.connect(sessions.rights_changed, sender=model, dispatch_uid=f"rights of {model}")
