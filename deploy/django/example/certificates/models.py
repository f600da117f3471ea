from django.db import models


class Certificate(models.Model):
    code = models.CharField(max_length=20, unique=True)
    holder = models.CharField(max_length=80)
    course = models.CharField(max_length=120)
    hours = models.PositiveIntegerField(default=40)
    issued = models.DateField()

    class Meta:
        ordering = ["-issued", "-id"]

    def __str__(self):
        return f"{self.code} {self.holder}"
