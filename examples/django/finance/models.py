"""A tenant's invoices."""

from contacts.models import Contact
from django.db import models


class Invoice(models.Model):
    number = models.CharField(max_length=20, unique=True)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT)
    issued_on = models.DateField()
    status = models.CharField(max_length=10, default="open")
    paid_on = models.DateField(null=True)
    total = models.DecimalField(max_digits=12, decimal_places=2, null=True)


class InvoiceLine(models.Model):
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    text = models.CharField(max_length=200)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
