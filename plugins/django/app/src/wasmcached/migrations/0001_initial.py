"""The tables of the outbox."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Counter",
            fields=[
                (
                    "source",
                    models.CharField(max_length=100, primary_key=True, serialize=False),
                ),
                ("number", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=100)),
                ("number", models.PositiveBigIntegerField()),
                ("message", models.CharField(max_length=100)),
                ("body", models.TextField()),
                ("servers", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name": "note of the outbox",
                "verbose_name_plural": "notes of the outbox",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "number"), name="wasmcached_note_number"
                    )
                ],
            },
        ),
    ]
