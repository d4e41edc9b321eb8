"""One table of notes in SQLite, in a volume."""
import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only for building")
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles", "site_of_notes"]
ROOT_URLCONF = "site_of_notes.urls"
WSGI_APPLICATION = "site_of_notes.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "/tmp/notes.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = "/tmp/static"
