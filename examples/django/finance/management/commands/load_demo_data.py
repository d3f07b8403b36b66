"""Creates two contacts and three invoices in the demo tenant, once."""

import datetime

from contacts.models import Contact
from customers.models import Client
from django.core.management.base import BaseCommand
from django_tenants.utils import tenant_context

from finance.models import Invoice


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        with tenant_context(Client.objects.get(schema_name="demo")):
            if Invoice.objects.exists():
                return
            ada = Contact.objects.create(name="Ada", city="Lyon")
            bo = Contact.objects.create(name="Bo", city="Berlin")
            for number, contact in enumerate([ada, bo, ada], start=1):
                Invoice.objects.create(
                    number=f"2026-{number:03}",
                    contact=contact,
                    issued_on=datetime.date(2026, 1, number),
                    lines=[{"text": "Consulting", "amount": 100 * number}],
                )
