"""Records migrations of one schema as applied, with Django's own recorder. `migrate --fake` refuses a ledger that lacks a dependency.

`python -c SCRIPT MANAGE TENANT MIGRATION...`, where an empty TENANT is the shared schema, and each MIGRATION is `app.name`.
"""


def main():
    manage, tenant, migrations = sys.argv[1], sys.argv[2], sys.argv[3:]
    prepare(manage)
    check_database()
    from django.apps import apps
    from django.db import connections, transaction
    from django.db.migrations.executor import MigrationExecutor

    alias = "default"
    if apps.is_installed("django_tenants"):
        from django_tenants import utils

        alias = utils.get_tenant_database_alias()
        connections[alias].set_schema(tenant or utils.get_public_schema_name())
    with transaction.atomic(using=alias):
        executor = MigrationExecutor(connections[alias])
        for migration in migrations:
            executor.recorder.record_applied(*migration.split(".", 1))
        # A squash counts as applied once all the migrations that it replaces do.
        executor.loader.build_graph()
        executor.check_replacements()


run(main)
