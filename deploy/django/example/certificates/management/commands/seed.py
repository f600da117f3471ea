import datetime
import os

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from certificates.models import Certificate


class Command(BaseCommand):
    help = "Makes the people and certificates of the example, where they are missing."

    def handle(self, *args, **options):
        users = get_user_model().objects
        admin = os.environ.get("ADMIN_USER", "admin")
        if not users.filter(username=admin).exists():
            users.create_superuser(admin, "", os.environ.get("ADMIN_PASSWORD", "jacaranda-44"))
        for name, password in (("ana", "girasol-77"), ("luis", "lavanda-99")):
            if not users.filter(username=name).exists():
                users.create_user(name, "", password)
        for n in range(1, 13):
            Certificate.objects.get_or_create(code=f"EX-{n:04d}", defaults={
                "holder": f"Person {n}", "course": "Typography", "hours": 10 * n,
                "issued": datetime.date(2025, n, 1),
            })
