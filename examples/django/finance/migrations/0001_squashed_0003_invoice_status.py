import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    replaces = [("finance", "0001_initial"), ("finance", "0002_invoice_lines"), ("finance", "0003_invoice_status")]
    dependencies = [("contacts", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Invoice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(max_length=20, unique=True)),
                ("contact", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="contacts.contact")),
                ("issued_on", models.DateField()),
                ("lines", models.JSONField(default=list)),
                ("status", models.CharField(default="open", max_length=10)),
            ],
        ),
    ]
