"""The addresses of the admin. Importing this loads every room's `admin.py`."""

from __future__ import annotations

from django.contrib import admin

admin.autodiscover()
urlpatterns = admin.site.get_urls()
