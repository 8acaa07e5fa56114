"""A shop to try Licet on; docs/tutorial.md guards it. ``python manage.py runserver 8080`` starts it."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
