"""The contacts of a tenant, who receive its invoices."""

from django.db import models


class Contact(models.Model):
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    city = models.CharField(max_length=100, blank=True)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    sort_name = models.CharField(max_length=200, blank=True)
