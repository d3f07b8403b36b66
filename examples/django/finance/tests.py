"""The example's own test suite."""

import datetime

from contacts.models import Contact
from django_tenants.test.cases import TenantTestCase
from django_tenants.test.client import TenantClient

from finance.models import Invoice


class InvoicePage(TenantTestCase):
    def test_an_invoice_is_on_its_tenants_page(self):
        contact = Contact.objects.create(name="Ada")
        Invoice.objects.create(number="7", contact=contact, issued_on=datetime.date(2026, 1, 1))
        self.assertContains(TenantClient(self.tenant).get("/invoices/"), "7: Ada")
