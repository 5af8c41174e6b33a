from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class VsmSiteConfig(AppConfig):
    name = "vsm_site"
    verbose_name = "Site"

    def ready(self) -> None:
        """Load every app's tasks in every process: the web server too must know what may be triggered."""
        autodiscover_modules("tasks")
