from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "vsm_site.dashboard"
    label = "dashboard"
    verbose_name = "Dashboard"
