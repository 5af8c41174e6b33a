from django.apps import AppConfig


class VsmSiteConfig(AppConfig):
    name = "vsm_site"
    verbose_name = "Site"
