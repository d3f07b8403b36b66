"""The worker: once a minute, marks every tenant's open invoices of more than 30 days as due."""

import datetime
import time

from customers.models import Client
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django_tenants.utils import tenant_context

from finance.models import Invoice


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true")

    def handle(self, *args, once, **options):
        while True:
            limit = datetime.date.today() - datetime.timedelta(days=30)
            for client in Client.objects.exclude(schema_name="public"):
                with tenant_context(client):
                    Invoice.objects.filter(status="open", issued_on__lt=limit).update(status="due")
            if once:
                return
            close_old_connections()
            time.sleep(60)
