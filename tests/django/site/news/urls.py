"""For everybody, for members, for nobody's cache, and for those who know it already."""

from django.urls import path
from news import views

urlpatterns = [
    path("", views.front_page),
    path("account/", views.account),
    path("live/", views.live),
    path("<slug:slug>/", views.article),
    path("<slug:slug>/edit/", views.edit),
]
