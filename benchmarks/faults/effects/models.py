"""Rows without a unique key, on purpose: the table must be able to show what went wrong."""

from __future__ import annotations

from django.db import models


class Effect(models.Model):
    """One time that something was done for *key*."""

    side = models.CharField(max_length=10)  # platform or control
    key = models.CharField(max_length=40)
    channel = models.CharField(max_length=20)
    at = models.FloatField()  # epoch seconds
    count = models.IntegerField(default=1)  # messages of a batch


class Order(models.Model):
    """What the control commits before it sends."""

    key = models.CharField(max_length=40)
