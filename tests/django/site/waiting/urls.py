"""The list, and its three kinds of being kept."""

from django.urls import path
from waiting import views

urlpatterns = [
    path("", views.queue),
    path("add/", views.add),
    path("remove/", views.remove),
]
