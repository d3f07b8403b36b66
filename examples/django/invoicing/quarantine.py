"""Returns 503 for quarantined tenants (`[gate] incomplete = "quarantine"`).

With `quarantine_file` and `portcullis verify --every`, the list changes while the server runs: the file is read again when
it was replaced. Place this middleware directly after the one that sets `request.tenant`.
"""

import json
import os

from django.http import HttpResponse

RETRY_AFTER_SECONDS = 300


class Quarantine:
    def __init__(self, get_response):
        self.get_response = get_response
        # The variable comes first: workers that change their user may have no access to a file that the master inherited.
        self.schemas = frozenset(json.loads(os.environ.get("PORTCULLIS_QUARANTINED") or "[]"))
        self.file = os.environ.get("PORTCULLIS_QUARANTINE_FILE")
        self.version = None

    def renew(self):
        """Reads the file if it was replaced; an unreadable file leaves the last list."""
        try:
            found = os.stat(self.file)
            version = (found.st_ino, found.st_mtime_ns)
            if version != self.version:
                with open(self.file, encoding="utf-8") as file:
                    self.schemas = frozenset(json.load(file))
                self.version = version
        except (OSError, ValueError):
            pass

    def __call__(self, request):
        if self.file:
            self.renew()
        tenant = getattr(request, "tenant", None)
        if tenant is not None and tenant.schema_name in self.schemas:
            text = "This account is being maintained. Please try again in a few minutes.\n"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return HttpResponse(text, status=503, content_type="text/plain", headers=headers)
        return self.get_response(request)
