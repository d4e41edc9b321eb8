"""One page: how many notes there are. It fails without its table."""
from django.http import HttpResponse
from django.urls import path

from site_of_notes.models import Note

urlpatterns = [path("", lambda request: HttpResponse(f"hello from django, {Note.objects.count()} notes"))]
