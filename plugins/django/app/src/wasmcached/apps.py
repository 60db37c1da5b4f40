"""The app: hooks and receivers are installed when Django is ready."""

from django.apps import AppConfig


class WasmcachedConfig(AppConfig):
    """Announces what is written."""

    name = "wasmcached"
    verbose_name = "wasmcached"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import checks, hooks, signals

        checks.register()
        hooks.install()
        signals.connect()
