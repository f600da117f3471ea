"""The ten lines that make `vary: user` exact: tell the edge who signed in or out.

MIDDLEWARE = ["edge.announce_user", ...] and, in routes.yaml,
sessions: {identity: {source: header}}. Umbral removes the header again.
"""
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver


@receiver([user_logged_in, user_logged_out])
def remember(sender, signal, request, user, **kwargs):
    request.edge_user = str(user.pk) if signal is user_logged_in else "anonymous"


def announce_user(get_response):
    def middleware(request):
        response = get_response(request)
        if hasattr(request, "edge_user"):
            response["X-Edge-Session-User"] = request.edge_user
        return response
    return middleware
