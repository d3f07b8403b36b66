"""The invoice page."""

from django.shortcuts import render

from finance.models import Invoice


def invoices(request):
    found = Invoice.objects.select_related("contact").order_by("number")
    return render(request, "finance/invoices.html", {"tenant": request.tenant, "invoices": found})
