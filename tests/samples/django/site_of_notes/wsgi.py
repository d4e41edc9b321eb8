"""Where gunicorn begins."""
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_notes.settings")
application = get_wsgi_application()
