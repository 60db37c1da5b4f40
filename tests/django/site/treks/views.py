"""Pages of treks."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from project.slow import slowly_built
from treks.models import Photo, Trek


def home(request):
    built, count = slowly_built(), Photo.objects.count()
    return HttpResponse(f"<h1>Treks</h1><p>{count} photos, built {built}</p>")


def trek(request, slug):
    # A form that posts to its own page: the answer is the visitor's alone.
    if request.method == "POST":
        return HttpResponse(f"thank you, built {slowly_built()}")
    shown = get_object_or_404(Trek, slug=slug)
    built, titles = slowly_built(), shown.photo_set.values_list("title", flat=True)
    return HttpResponse(f"<h1>{shown.name}</h1><p>{', '.join(titles)}, built {built}</p>")


trek = csrf_exempt(trek)


@csrf_exempt
@require_POST
def add_photo(request, slug):
    photo = Photo(trek=get_object_or_404(Trek, slug=slug), title=request.POST["title"])
    photo.save()
    return HttpResponse(f"photo {photo.pk}")


def admin(request):
    return HttpResponse(f"for the staff, built {slowly_built()}")
