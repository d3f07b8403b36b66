from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("finance", "0001_initial")]
    operations = [migrations.AddField("invoice", "lines", models.JSONField(default=list))]
