"""Computes the values of a new tenant's rows that depend on the moment of the insertion, as in `default=trial_end`.

`python -c SCRIPT MANAGE`.
"""


def main():
    prepare(sys.argv[1])
    from django_tenants import utils

    tenant, domain = utils.get_tenant_model()._meta, utils.get_tenant_domain_model()._meta
    send(values={"tenant": computed(tenant, ()), "domain": computed(domain, ())})


run(main)
