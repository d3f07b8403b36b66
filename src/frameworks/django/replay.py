"""Forgets one app's migrations in one tenant's ledger and runs them again, in one transaction.

`python -c SCRIPT MANAGE TENANT APP [TABLE...]`. Portcullis has proved before that none of the app's tables stand in the
tenant's schema. Each TABLE is one that stands in the public schema all the same: its rows are counted and left alone.
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
            tell(note=f"{public}.{table} holds {cursor.fetchone()[0]} rows, which stay where they are")
    connection.set_tenant(tenant)
    with transaction.atomic(using=alias):
        replay(connection, app)


def replay(connection, app):
    from django.db.migrations.executor import MigrationExecutor
    from django.db.migrations.recorder import MigrationRecorder
    from django.db.migrations.state import ProjectState

    MigrationRecorder(connection).migration_qs.filter(app=app).delete()
    executor = MigrationExecutor(connection)
    # Each migration meets the models as they were at its place among those of all apps. `migrate` itself would
    # refuse: other apps' migrations that stand on these are recorded.
    state = ProjectState(real_apps=executor.loader.unmigrated_apps)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True):
        if migration.app_label == app:
            stands_on_what_is_applied(executor.loader, migration, connection.schema_name)
            state = executor.apply_migration(state, migration)
            tell(note=f"{migration.app_label}.{migration.name} run again")
        else:
            state = migration.mutate_state(state)
    executor.loader.build_graph()
    executor.check_replacements()
    tell_lost_keys(connection, app, state)


def tell_lost_keys(connection, app, state):
    """Names the columns of other apps whose foreign keys went with the lost tables (DROP TABLE ... CASCADE)."""
    for model in state.apps.get_models(include_auto_created=True):
        options = model._meta
        for field in options.local_concrete_fields:
            leads_there = field.is_relation and field.related_model._meta.app_label == app
            if options.app_label == app or not leads_there or not field.db_constraint:
                continue
            with connection.cursor() as cursor:
                place = [connection.schema_name, options.db_table]
                cursor.execute("SELECT FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = %s", place)
                constraints = connection.introspection.get_constraints(cursor, options.db_table) if cursor.rowcount else {}
            if constraints and not any(c["foreign_key"] and c["columns"] == [field.column] for c in constraints.values()):
                tell(note=f"{options.db_table}.{field.column} has lost its foreign key, which is not made again")


def stands_on_what_is_applied(loader, migration, schema):
    for parent in loader.graph.node_map[migration.app_label, migration.name].parents:
        app, name = parent.key
        if app != migration.app_label and parent.key not in loader.applied_migrations:
            sys.exit(
                f"{migration.app_label}.{migration.name} stands on {app}.{name}, which is pending. "
                f"First apply that app's alone: python manage.py migrate_schemas {app} --schema={shlex.quote(schema)}"
            )


run(main)
