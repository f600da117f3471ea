from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.staticfiles.views import serve
from django.urls import include, path, re_path

from certificates import views

urlpatterns = [
    path("", views.home),
    path("certificados/", views.certificates),
    path("certificado/<int:pk>", views.certificate),
    path("publico/", views.public),
    path("panel/", views.panel),
    path("lote/", views.batch),
    path("formulario/", views.form),
    path("visitas/", views.visits),
    path("whoami/", views.whoami),
    path("slow/<str:seconds>/", views.slow),
    path("cookies/", views.cookies),
    path("meta/", views.meta),
    path("healthz", views.healthz),
    path("accounts/login/", auth.LoginView.as_view()),
    path("accounts/logout/", auth.LogoutView.as_view()),
    path("accounts/password_change/", auth.PasswordChangeView.as_view(success_url="/panel/")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    # A site in production has its files collected and served by somebody else.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]
