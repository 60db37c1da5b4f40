"""The box, and reading a message."""

from django.urls import path
from mail import views

urlpatterns = [
    path("", views.box),
    path("read/", views.read_all),
    path("backends/", views.backends),
]
