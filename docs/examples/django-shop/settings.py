"""The least that Django needs."""

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "urls"
MIDDLEWARE = []
