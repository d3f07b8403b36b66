"""Returns 503 for quarantined tenants (`[gate] incomplete = "quarantine"`).

The list is fixed at the start: a repaired tenant is served after the next start. Place it directly after the middleware
that sets `request.tenant`.
"""

import json
import os

from django.http import HttpResponse

RETRY_AFTER_SECONDS = 300


class Quarantine:
    def __init__(self, get_response):
        self.get_response = get_response
        # The variable, not the file: workers that change their user may have no access to the file that the master inherited.
        self.schemas = frozenset(json.loads(os.environ.get("PORTCULLIS_QUARANTINED") or "[]"))

    def __call__(self, request):
        tenant = getattr(request, "tenant", None)
        if tenant is not None and tenant.schema_name in self.schemas:
            text = "This account is being maintained. Please try again in a few minutes.\n"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return HttpResponse(text, status=503, content_type="text/plain", headers=headers)
        return self.get_response(request)
