"""Views of the tests' project."""

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from shop.models import Product


def listing(request):
    return HttpResponse(" ".join(Product.objects.values_list("name", flat=True)))


def by_key(request, pk):
    return HttpResponse(Product.objects.get(pk=pk).name)


def by_slug(request, slug):
    product = Product.objects.filter(slug=slug).first()
    return HttpResponse(product.name if product else "none")


def streamed(request):
    return StreamingHttpResponse(product.name for product in Product.objects.iterator())


def nothing(request):
    return HttpResponse("static")


urlpatterns = [
    path("", listing),
    path("key/<int:pk>/", by_key),
    path("slug/<slug:slug>/", by_slug),
    path("streamed/", streamed),
    path("nothing/", nothing),
]
