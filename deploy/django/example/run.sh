#!/bin/sh
# Runs the example with Debian's packages python3-django, python3-django-redis and gunicorn:
#   REDIS_URL=redis://127.0.0.1:6379/0 DB=/tmp/example.sqlite3 BIND=127.0.0.1:8000 ./run.sh
# Also read: SECRET_KEY ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS CACHE_KEY_PREFIX EDGE_HEADER
# SESSION_SAVE_EVERY_REQUEST SESSION_COOKIE_AGE SECURE_COOKIES ADMIN_USER ADMIN_PASSWORD THREADS
set -eu
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
for python in ${PYTHON:-python3 /usr/bin/python3}; do
    if "$python" -c 'import django, django_redis, gunicorn' 2>/dev/null; then found=$python; break; fi
done
if [ -z "${found:-}" ]; then
    echo "run.sh: no Python here has django, django_redis and gunicorn (Debian: python3-django python3-django-redis gunicorn)." >&2
    exit 1
fi
if [ -z "${SECRET_KEY:-}" ]; then # one for the three commands below
    SECRET_KEY=$("$found" -c 'import secrets; print(secrets.token_urlsafe(50))')
    export SECRET_KEY
fi
"$found" manage.py migrate --noinput --verbosity 0
"$found" manage.py seed
exec "$found" -m gunicorn --bind "${BIND:-127.0.0.1:8000}" --workers 1 --threads "${THREADS:-8}" --keep-alive 75 example.wsgi
