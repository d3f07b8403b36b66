"""Deletes one app's migrations from one tenant's ledger and runs them again, in one transaction.

`python -c SCRIPT MANAGE TENANT APP [TABLE...]`. Portcullis has verified that none of the app's tables exists in the tenant's schema.
Each TABLE is one that exists in the public schema: its rows are counted and not changed.
"""

import shlex


def main():
    manage, name, app, copies = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    prepare(manage)
    check_database()
    from django.db import connections, transaction
    from django_tenants import utils

    alias, public = utils.get_tenant_database_alias(), utils.get_public_schema_name()
    connection = connections[alias]
    tenant = utils.get_tenant_model().objects.using(alias).get(schema_name=name)
    with connection.cursor() as cursor:
        for table in copies:
            quoted = f"{connection.ops.quote_name(public)}.{connection.ops.quote_name(table)}"
            cursor.execute(f"SELECT count(*) FROM {quoted}")
            send(note=f"{public}.{table} contains {cursor.fetchone()[0]} rows, which are not changed")
    connection.set_tenant(tenant)
    with transaction.atomic(using=alias):
        replay(connection, app)


def replay(connection, app):
    from django.db.migrations.executor import MigrationExecutor
    from django.db.migrations.recorder import MigrationRecorder
    from django.db.migrations.state import ProjectState

    MigrationRecorder(connection).migration_qs.filter(app=app).delete()
    executor = MigrationExecutor(connection)
    # Each migration gets the models' state at its position in the order of all apps. `migrate` itself would refuse, because
    # dependent migrations of other apps are recorded.
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True):
        if migration.app_label == app:
            check_dependencies(executor.loader, migration, connection.schema_name)
            state = executor.apply_migration(state, migration)
            send(note=f"{migration.app_label}.{migration.name} run again")
        else:
            state = migration.mutate_state(state)
    executor.loader.build_graph()
    executor.check_replacements()
    report_lost_keys(connection, app, state)


def report_lost_keys(connection, app, state):
    """Reports the columns of other apps whose foreign keys were dropped with the lost tables (DROP TABLE ... CASCADE)."""
    for model in state.apps.get_models(include_auto_created=True):
        options = model._meta
        for field in options.local_concrete_fields:
            refers_to_app = field.is_relation and field.related_model._meta.app_label == app
            if options.app_label == app or not refers_to_app or not field.db_constraint:
                continue
            with connection.cursor() as cursor:
                qualified_name = [connection.schema_name, options.db_table]
                cursor.execute("SELECT FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = %s", qualified_name)
                constraints = connection.introspection.get_constraints(cursor, options.db_table) if cursor.rowcount else {}
            if constraints and not any(c["foreign_key"] and c["columns"] == [field.column] for c in constraints.values()):
                send(note=f"{options.db_table}.{field.column} has lost its foreign key, which is not created again")


def check_dependencies(loader, migration, schema):
    for parent in loader.graph.node_map[migration.app_label, migration.name].parents:
        app, name = parent.key
        if app != migration.app_label and parent.key not in loader.applied_migrations:
            sys.exit(
                f"{migration.app_label}.{migration.name} depends on {app}.{name}, which is pending. "
                f"First apply that app's migrations: python manage.py migrate_schemas {app} --schema={shlex.quote(schema)}"
            )


run(main)
