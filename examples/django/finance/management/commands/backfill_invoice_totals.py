"""Computes the missing totals of every tenant's invoices from their lines."""

from customers.models import Client
from django.core.management.base import BaseCommand
from django_tenants.utils import tenant_context

from finance.models import Invoice


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        filled = 0
        for client in Client.objects.exclude(schema_name="public"):
            with tenant_context(client):
                for invoice in Invoice.objects.filter(total=None):
                    invoice.total = sum(line["amount"] for line in invoice.lines)
                    invoice.save(update_fields=["total"])
                    filled += 1
        self.stdout.write(f"{filled} totals filled")
