"""Settings of the invoicing example. Everything that differs between deployments comes from the environment."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name):
    return os.environ.get(name, "").lower() in {"true", "1", "yes", "on"}


def secret(name, default=""):
    """The variable, or the content of the file that NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        return Path(path).read_text().removesuffix("\n")
    return os.environ.get(name, default)


DEBUG = flag("DEBUG")
SECRET_KEY = secret("SECRET_KEY", "only-for-the-example")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "*").split(",")

SHARED_APPS = [
    "django_tenants",
    "customers",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
]
TENANT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "contacts",
    "finance",
]
INSTALLED_APPS = SHARED_APPS + [app for app in TENANT_APPS if app not in SHARED_APPS]

TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "HOST": os.environ.get("DB_HOST", "localhost"),
        "PORT": os.environ.get("DB_PORT", "5432"),
        "NAME": os.environ.get("DB_NAME", "invoicing"),
        "USER": os.environ.get("DB_USER", "invoicing"),
        "PASSWORD": secret("DB_PASSWORD"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": f"django.core.cache.backends.{'redis.RedisCache' if REDIS_URL else 'locmem.LocMemCache'}",
        "LOCATION": REDIS_URL or "",
        "KEY_FUNCTION": "django_tenants.cache.make_key",
    },
    "rates": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "rates_cache"},
}

MIDDLEWARE = [
    "invoicing.tenancy.TenantByPathOrHost",
    "invoicing.quarantine.Quarantine",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "invoicing.urls"
PUBLIC_SCHEMA_URLCONF = "invoicing.urls_public"
WSGI_APPLICATION = "invoicing.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT", str(BASE_DIR / "static"))
USE_TZ = True
