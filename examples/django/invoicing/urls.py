"""Pages of a tenant."""

from django.urls import path
from finance import views

urlpatterns = [path("invoices/", views.invoices, name="invoices")]
