from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0001_initial")]
    operations = [
        migrations.AddField("contact", "city", models.CharField(blank=True, max_length=100, default=""), False),
        migrations.AddField("contact", "latitude", models.FloatField(null=True)),
        migrations.AddField("contact", "longitude", models.FloatField(null=True)),
    ]
