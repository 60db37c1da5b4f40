"""Every application below its own path."""

from django.urls import include, path

from project.views import log_in

urlpatterns = [
    path("login/", log_in),
    path("pastes/", include("pastes.urls")),
    path("mail/", include("mail.urls")),
    path("queue/", include("waiting.urls")),
    path("news/", include("news.urls")),
    path("", include("treks.urls")),
]
