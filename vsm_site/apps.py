from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from subsystems.kernel import plug_ins
from vsm_site.rest_framework_light import import_light

import_light()  # before any other import of Django REST framework

# Projects may have these called in any process from its start; the registers of messages and events load their own.
FROM_THE_START = ("vsm.operations", "vsm.telemetry_handlers")


class VsmSiteConfig(AppConfig):
    name = "vsm_site"
    verbose_name = "Site"

    def ready(self) -> None:
        """Load every app's tasks in every process: the web server too must know what may be triggered."""
        autodiscover_modules("tasks")
        for group in FROM_THE_START:
            plug_ins.load(group)
