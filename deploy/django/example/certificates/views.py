"""The ways in which a Django site caches and sets cookies, one view each."""
import time

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import cache_page, never_cache
from django.views.decorators.csrf import csrf_exempt

from .models import Certificate


def home(request):
    return render(request, "home.html")


def certificates(request):
    """A cached queryset: the list is read from the database once a minute."""
    found = cache.get("certificates")
    source = "cache"
    if found is None:
        found, source = list(Certificate.objects.all()[:50]), "database"
        cache.set("certificates", found, 60)
    response = render(request, "certificates.html", {"certificates": found})
    response["X-Queryset"] = source
    response["Cache-Tag"] = "certificados"
    return response


def certificate(request, pk):
    found = get_object_or_404(Certificate, pk=pk)
    response = render(request, "certificate.html", {"certificate": found})
    response["Cache-Tag"] = f"certificado:{pk}"
    return response


@cache_page(60)
def public(request):
    return HttpResponse(f"<h1>Public</h1><p>made at {time.time():.6f}</p>")


@login_required
def panel(request):
    """A template fragment cached per person."""
    return render(request, "panel.html", {"now": time.time})


def batch(request):
    """set_many and get_many: what a site does for a page of many small things."""
    values = {f"lote:{n}": n * n for n in range(20)}
    failed = cache.set_many(values, 60)
    return JsonResponse({"failed": failed, "read": len(cache.get_many(values))})


def form(request):
    """A form with a CSRF token and a flash message after it."""
    if request.method == "POST":
        messages.success(request, "Received: " + request.POST.get("text", "")[:100])
        return redirect("/formulario/")
    return render(request, "form.html")


def visits(request):
    """Opens a session for anybody who comes by."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


@never_cache
def whoami(request):
    user = request.user
    return JsonResponse({"id": user.pk, "name": user.get_username()})


def slow(request, seconds):
    """Waits, then sets ?cookie=name:value if asked to."""
    try:
        wait = min(max(float(seconds), 0), 30)
    except ValueError:
        return HttpResponseBadRequest("seconds is a number")
    time.sleep(wait)
    response = JsonResponse({"slept": wait, "user": request.user.get_username()})
    name, given, value = request.GET.get("cookie", "").partition(":")
    if given:
        response.set_cookie(name, value)
    return response


def cookies(request):
    """Sets ?n= cookies (50) of ?size= characters (8), named ?prefix= and a number."""
    try:
        n, size = int(request.GET.get("n", 50)), int(request.GET.get("size", 8))
    except ValueError:
        return HttpResponseBadRequest("n and size are numbers")
    prefix = request.GET.get("prefix", "c")
    response = JsonResponse({"seen": dict(request.COOKIES)})
    for i in range(min(max(n, 0), 200)):
        response.set_cookie(f"{prefix}{i}", str(i).rjust(min(max(size, 1), 4000), "x"))
    return response


@csrf_exempt
@never_cache
def meta(request):
    """What the app was sent: every text in META, and the cookies."""
    return JsonResponse({
        "method": request.method,
        "path": request.get_full_path(),
        "secure": request.is_secure(),
        "host": request.get_host(),
        "user": request.user.get_username(),
        "cookies": dict(request.COOKIES),
        "body": request.body.decode("utf-8", "replace"),
        "meta": {k: v for k, v in request.META.items() if isinstance(v, str) and (k.startswith(("HTTP_", "REMOTE_", "CONTENT_")))},
    })


@never_cache
def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")
