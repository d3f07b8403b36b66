from django.db import migrations, models
from django.db.models.functions import Lower


def fill(apps, schema_editor):
    apps.get_model("contacts", "Contact").objects.update(sort_name=Lower("name"))


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_contact_place")]
    operations = [
        migrations.AddField("contact", "sort_name", models.CharField(blank=True, max_length=200, default=""), False),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
