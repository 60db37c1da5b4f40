"""One view cached by the URL configuration, the others by whatever is around them."""

from django.urls import path
from django.views.decorators.cache import cache_page

from pastes import views

WEEK_S = 604_800

urlpatterns = [
    path("kept/<slug:name>/", cache_page(WEEK_S, key_prefix="pastes")(views.show)),
    path("values/", views.values),
    path("<slug:name>/", views.show),
]
