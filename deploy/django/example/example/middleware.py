"""How a test sees whether the app was asked: each answer carries the number of
requests that reached this process, and /renders/ tells it without counting."""
import threading

from django.http import JsonResponse

_lock = threading.Lock()
_renders = 0


def count_renders(get_response):
    def middleware(request):
        global _renders
        if request.path == "/renders/":
            answer = JsonResponse({"renders": _renders})
            answer["Cache-Control"] = "no-store"
            return answer
        with _lock:
            _renders += 1
            number = _renders
        response = get_response(request)
        response["X-App-Renders"] = str(number)
        return response
    return middleware
