"""The pages for people."""

from __future__ import annotations

from django.urls import path

from vsm_site.dashboard.views import alerts, events, fleets, messages, overview, rules, signals, tasks, units

app_name = "dashboard"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("systems/<slug:slug>/", overview.system_detail, name="system"),
    path("history/", overview.history, name="history"),
    path("sparklines/", overview.sparklines, name="sparklines"),
    path("units/add/", units.add, name="unit-add"),
    path("units/<int:pk>/", units.detail, name="unit"),
    path("units/<int:pk>/pause/", units.pause, name="unit-pause"),
    path("units/<int:pk>/resume/", units.resume, name="unit-resume"),
    path("units/<int:pk>/forget/", units.forget, name="unit-forget"),
    path("fleets/", fleets.index, name="fleets"),
    path("fleets/<int:pk>/forget/", fleets.forget, name="fleet-forget"),
    path("signals/", signals.index, name="signals"),
    path("signals/lane/", signals.lane, name="lane"),
    path("signals/raise/", signals.add, name="signal-add"),
    path("signals/preview/", signals.preview, name="signal-preview"),
    path("signals/<str:pk>/", signals.detail, name="signal"),
    *(path(f"signals/<str:pk>/{verb}/", signals.act, {"verb": verb}, name=f"signal-{verb}") for verb in signals.DOING),
    path("events/", events.index, name="events"),
    path("events/journey/", events.journey, name="journey"),
    path("events/chain/", events.chain, name="chain"),
    path("events/verify/", events.verify, name="verify"),
    path("events/dead-letters/", messages.dead_letters, name="dead-letters"),
    path("events/dead-letters/<int:pk>/replay/", messages.replay, name="replay"),
    path("events/<int:position>/", events.detail, name="event"),
    path("messages/<path:message_id>/", messages.detail, name="message"),
    path("alerts/", alerts.index, name="alerts"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="alert-acknowledge"),
    path("alerts/<int:pk>/resolve/", alerts.resolve, name="alert-resolve"),
    path("alerts/rules/", rules.index, name="rules"),
    path("alerts/rules/add/", rules.add, name="rule-add"),
    path("alerts/rules/<int:pk>/", rules.edit, name="rule"),
    path("alerts/rules/<int:pk>/delete/", rules.delete, name="rule-delete"),
    path("tasks/", tasks.index, name="tasks"),
    path("tasks/runs/", tasks.runs, name="runs"),
    path("tasks/<str:name>/trigger/", tasks.trigger, name="task-trigger"),
]
