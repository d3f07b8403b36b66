from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("finance", "0001_squashed_0003_invoice_status")]
    operations = [
        migrations.AddField("invoice", "paid_on", models.DateField(null=True)),
        migrations.AddField("invoice", "total", models.DecimalField(decimal_places=2, max_digits=12, null=True)),
    ]
