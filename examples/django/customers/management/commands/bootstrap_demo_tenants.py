"""Creates the demo tenants that are absent: registry row, domain, schema and migrations."""

from customers.models import Client, Domain
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("names", nargs="*", default=["demo"])

    def handle(self, *args, names, verbosity, **options):
        for name in names:
            client = Client.objects.filter(schema_name=name).first()
            if client is None:
                client = Client(schema_name=name, name=name.capitalize())
                client.save(verbosity=verbosity)
                self.stdout.write(f"{name}: created")
            else:
                self.stdout.write(f"{name}: exists")
            Domain.objects.get_or_create(
                domain=f"{name}.localhost", defaults={"tenant": client, "is_primary": True}
            )
