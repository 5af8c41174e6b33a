"""The admin, loaded with all its lists and forms only when somebody opens it: nobody may ever look."""

from django.contrib.admin.apps import SimpleAdminConfig


class BackOfficeConfig(SimpleAdminConfig):
    """Django's admin under its own label; `urls.py` beside this looks for the rooms' `admin.py`."""

    default_site = "vsm_site.back_office.site.BackOffice"
