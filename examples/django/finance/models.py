"""A tenant's invoices."""

from contacts.models import Contact
from django.db import models


class Invoice(models.Model):
    number = models.CharField(max_length=20, unique=True)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT)
    issued_on = models.DateField()
    # Each line has `text` and `amount`.
    lines = models.JSONField(default=list)
    status = models.CharField(max_length=10, default="open")
    paid_on = models.DateField(null=True)
    total = models.DecimalField(max_digits=12, decimal_places=2, null=True)
