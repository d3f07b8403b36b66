"""Chooses the tenant of a request: by the path `/t/NAME/...`, otherwise by the host name."""

from django.http import Http404
from django_tenants.middleware.main import TenantMainMiddleware
from django_tenants.utils import get_tenant_model


class TenantByPathOrHost(TenantMainMiddleware):
    def process_request(self, request):
        parts = request.path_info.split("/", 3)
        self.by_path = None
        if len(parts) == 4 and parts[1] == "t":
            self.by_path = parts[2]
            request.path_info = "/" + parts[3]
        return super().process_request(request)

    def get_tenant(self, domain_model, hostname):
        if self.by_path is None:
            return super().get_tenant(domain_model, hostname)
        tenant = get_tenant_model().objects.filter(schema_name=self.by_path).first()
        if tenant is None:
            raise Http404(f"no tenant `{self.by_path}`")
        return tenant

    def no_tenant_found(self, request, hostname):
        return self.setup_url_routing(request, force_public=True)
