"""What the versions hold goes; PostgreSQL does not alter tables in the transaction that filled them."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('s5_policy', '0002_versions'),
    ]

    operations = [
        migrations.DeleteModel(
            name='AlertPolicy',
        ),
        migrations.DeleteModel(
            name='ViabilityPolicy',
        ),
    ]
