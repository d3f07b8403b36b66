"""Answers 503 for the tenants that Portcullis told the server to keep out (`[gate] incomplete = "quarantine"`).

The list is that of the start: a tenant that is repaired is let in by the next start. Stands right behind the
middleware that sets `request.tenant`.
"""

import json
import os

from django.http import HttpResponse

RETRY_AFTER_SECONDS = 300


class Quarantine:
    def __init__(self, get_response):
        self.get_response = get_response
        # The variable and not the file: workers that change their user may not reach what the master inherited.
        self.schemas = frozenset(json.loads(os.environ.get("PORTCULLIS_QUARANTINED") or "[]"))

    def __call__(self, request):
        tenant = getattr(request, "tenant", None)
        if tenant is not None and tenant.schema_name in self.schemas:
            text = "This account is being maintained. Please try again in a few minutes.\n"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return HttpResponse(text, status=503, content_type="text/plain", headers=headers)
        return self.get_response(request)
