"""The home page, a page for each trek, and what must not be cached."""

from django.urls import path
from treks import views

urlpatterns = [
    path("", views.home),
    path("treks/<slug:slug>/", views.trek),
    path("treks/<slug:slug>/photo/", views.add_photo),
    path("admin/", views.admin),
]
