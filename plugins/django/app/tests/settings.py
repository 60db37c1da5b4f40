"""Settings of the tests' project."""

SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.sessions", "wasmcached", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["*"]
MIDDLEWARE = ["wasmcached.middleware.TagsMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

#: The secret of the published example of Standard Webhooks.
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WASMCACHED = {
    "URL": "http://127.0.0.1:9",
    "SOURCE": "shop",
    "SECRET": SECRET,
    "EXCLUDE": ["sessions", "contenttypes", "shop.secret"],
    "BUDGET_MS": 100,
}
