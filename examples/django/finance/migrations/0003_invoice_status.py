from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("finance", "0002_invoice_lines")]
    operations = [migrations.AddField("invoice", "status", models.CharField(default="open", max_length=10))]
