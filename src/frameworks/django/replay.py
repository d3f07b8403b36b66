"""Records the migrations of one app whose tables a tenant has lost, so that Portcullis can run their statements again.

`python -c SCRIPT MANAGE TENANT APP [TABLE...]`. Portcullis has verified that none of the app's tables exists in the tenant's schema.
Each TABLE is one that exists in the public schema: its rows are counted and not changed.

The migrations run in a schema that is rolled back. It contains empty copies of the tables of other apps, so that a foreign key locks no
table in use. Migrations with code run in the tenant's schema instead, in one transaction.
"""

import secrets
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
    replay = Replay(connection, app, public)
    recorder = Recorder(connection, lost_app=True)
    for migration in replay.migrations:
        recorder.check(migration)
    if recorder.refusals:
        with transaction.atomic(using=alias):
            replay.run()
    else:
        with transaction.atomic(using=alias):
            recording = replay.record(tenant)
            transaction.set_rollback(True, using=alias)
        send_recording({"recording": recording})
    replay.report_lost_keys(tenant)


class Replay:
    """The migrations of an app and of the apps that it depends on, as `migrate APP` would apply them to an empty schema."""

    def __init__(self, connection, app, public):
        from django.db.migrations.executor import MigrationExecutor
        from django.db.migrations.recorder import MigrationRecorder

        self.connection, self.app, self.public = connection, app, public
        all_applied = MigrationRecorder.applied_migrations

        def without_app(recorder):
            return {key: row for key, row in all_applied(recorder).items() if key[0] != app}

        with replaced(MigrationRecorder, "applied_migrations", without_app):
            self.executor = MigrationExecutor(connection)
        graph = self.executor.loader.graph
        plan = self.executor.migration_plan(graph.leaf_nodes(app), clean_start=True)
        self.plan = [migration for migration, _ in plan]
        self.migrations = [migration for migration in self.plan if migration.app_label == app]
        for migration in self.migrations:
            check_dependencies(self.executor.loader, migration, connection.schema_name)

    def run(self):
        from django.db.migrations.recorder import MigrationRecorder

        MigrationRecorder(self.connection).migration_qs.filter(app=self.app).delete()
        self.apply()
        self.executor.loader.build_graph()
        self.executor.check_replacements()

    def apply(self):
        from django.db.migrations.state import ProjectState

        state = ProjectState(real_apps=self.executor.loader.unmigrated_apps)
        for migration in self.plan:
            if migration.app_label == self.app:
                state = self.executor.apply_migration(state, migration)
                send(note=f"{migration.app_label}.{migration.name} run again")
            else:
                # Django would render the models again after each change.
                state.__dict__.pop("apps", None)
                state = migration.mutate_state(state, preserve=False)

    def record(self, tenant):
        """Runs the migrations in a schema of its own in the open transaction."""
        from django_tenants.utils import has_multi_type_tenants

        schema = f"portcullis_replay_{secrets.token_hex(8)}"
        copies = self.copies_of_other_tables()
        recorder = Recorder(self.connection, lost_app=True)
        kind = {"tenant_type": tenant.get_tenant_type()} if has_multi_type_tenants() else {}
        self.connection.set_schema(schema, **kind)
        with recorder.having("suppressed"), self.connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {self.connection.ops.quote_name(schema)}")
            for statements in copies.values():
                cursor.execute(statements, None)
        applied = dict(self.executor.loader.applied_migrations)
        ledger = Recorder(self.connection)
        ledger.statements.append(ledger.compose(f"DELETE FROM {ledger.ledger_table()} WHERE app = %s", [self.app]))

        def record_applied(app, name):
            applied[app, name] = None
            ledger.record_ledger(app, name)

        # The ledger of the tenant is not changed here.
        self.executor.recorder.record_applied = record_applied
        self.executor.recorder.applied_migrations = lambda: applied
        with recorder.recording():
            self.apply()
            self.executor.check_replacements()
        if recorder.refusals:
            sys.exit("; ".join(recorder.refusals))
        text = "\n".join(recorder.statements)
        used = {table: sql for table, sql in copies.items() if self.connection.ops.quote_name(table) in text}
        recording = {"proofs": []}
        recorder.note_session(recording)
        recording.update(statements=[*used.values(), *recorder.statements], copies=list(used), ledger=ledger.statements)
        self.connection.set_tenant(tenant)
        return recording

    def copies_of_other_tables(self):
        """The statements that create the tables of other apps as empty copies: their columns and the keys that foreign keys need."""
        tenant = self.connection.schema_name
        with self.connection.cursor() as cursor:
            # So that the names of types contain their schemas.
            cursor.execute("SET LOCAL search_path = pg_catalog")
            cursor.execute(COPIES, [[tenant, self.public], self.tables_of_app(), tenant])
            return dict(cursor.fetchall())

    def tables_of_app(self):
        models = self.final_state().apps.get_models(include_auto_created=True)
        return [model._meta.db_table.strip('"') for model in models if model._meta.app_label == self.app]

    def final_state(self):
        if "state" not in self.__dict__:
            self.state = self.executor.loader.project_state()
        return self.state

    def report_lost_keys(self, tenant):
        """Reports the columns of other apps whose foreign keys were dropped with the lost tables (DROP TABLE ... CASCADE)."""
        connection = self.connection
        connection.set_tenant(tenant)
        for model in self.final_state().apps.get_models(include_auto_created=True):
            options = model._meta
            for field in options.local_concrete_fields:
                refers_to_app = field.is_relation and field.related_model._meta.app_label == self.app
                if options.app_label == self.app or not refers_to_app or not field.db_constraint:
                    continue
                with connection.cursor() as cursor:
                    qualified_name = [connection.schema_name, options.db_table.strip('"')]
                    cursor.execute("SELECT FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = %s", qualified_name)
                    constraints = connection.introspection.get_constraints(cursor, options.db_table) if cursor.rowcount else {}
                if constraints and not any(c["foreign_key"] and c["columns"] == [field.column] for c in constraints.values()):
                    send(note=f"{options.db_table}.{field.column} has lost its foreign key, which is not created again")


# Reads the catalog alone: a statement that names a table locks it until the end of the transaction.
COPIES = """
    SELECT DISTINCT ON (c.relname) c.relname, format('CREATE TABLE %%I (%%s)', c.relname, (
        SELECT string_agg(format('%%I %%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) || coalesce((
        SELECT string_agg(format('; ALTER TABLE %%I ADD CONSTRAINT %%I %%s', c.relname, k.conname, pg_get_constraintdef(k.oid)), '')
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u') AND NOT k.condeferrable), '')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND c.relname <> ALL (%s)
    ORDER BY c.relname, n.nspname = %s DESC
"""


def check_dependencies(loader, migration, schema):
    for parent in loader.graph.node_map[migration.app_label, migration.name].parents:
        app, name = parent.key
        if app != migration.app_label and parent.key not in loader.applied_migrations:
            sys.exit(
                f"{migration.app_label}.{migration.name} depends on {app}.{name}, which is pending. "
                f"First apply that app's migrations: python manage.py migrate_schemas {app} --schema={shlex.quote(schema)}"
            )


run(main)
