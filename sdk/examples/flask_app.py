"""Flask: ``flask --app flask_app run``. The tenant is in a header here; yours is in the session."""

import os

from flask import Flask, g, request

from licet_sdk import Licet
from licet_sdk.flask import install, requires_feature

licet = Licet(features=["inbound-email-security"], cache_dir=os.environ.get("CACHE_DIR"))
app = Flask(__name__)
install(app, licet, who=lambda: {"customer": request.headers.get("X-Tenant")})


@app.get("/inbound")
@requires_feature("inbound-email-security")
def inbound() -> dict[str, object]:
    return {"filtering": True, "until": g.licet.until}


@app.get("/menu")
def menu() -> dict[str, bool]:
    return {"inbound": licet.allowed("inbound-email-security", customer=request.headers.get("X-Tenant"))}
