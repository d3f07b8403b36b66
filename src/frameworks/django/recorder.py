"""Records the statements with which Django migrates one schema, so that Portcullis can run them in others.

The recording is refused if the result in another schema could differ: with the project's own code or SQL, computed values, or
writes outside of the schema editor.
"""

from contextlib import ExitStack, contextmanager

# One message has at most this number of characters, of which each may need two.
PIECE_CHARACTERS = 6000

# Their rows are part of the recording, by name.
KNOWN_RECEIVERS = {
    "django.contrib.contenttypes.management.inject_rename_contenttypes_operations",
    "django.contrib.contenttypes.management.create_contenttypes",
    "django.contrib.auth.management.create_permissions",
    "django.contrib.sites.management.create_default_site",
}

# Statements that change nothing after the end of the transaction.
HARMLESS = ("SELECT", "SHOW", "SET", "SAVEPOINT", "RELEASE SAVEPOINT")

# Each migration was a transaction of its own.
TRANSACTION_END = "SET CONSTRAINTS ALL IMMEDIATE"

# The settings of the project's session on which the meaning of a statement depends.
SETTINGS = ["default_tablespace", "default_table_access_method", "standard_conforming_strings", "TimeZone", "IntervalStyle", "DateStyle"]


class Recorder:
    """The recording of one schema's migration. The migrations of a lost app run alone, without signals, on tables without rows."""

    def __init__(self, connection, lost_app=False):
        self.connection, self.lost_app = connection, lost_app
        self.statements, self.refusals = [], []
        self.content_types, self.permissions, self.proofs = {}, {}, []
        # The statements that insert every content type and permission, and those that exist before the migration.
        self.completion, self.rows_before = [], set()
        self.editing = self.suppressed = False
        # The table of content types, after one has been renamed.
        self.renames = None

    @contextmanager
    def recording(self):
        from django.db.migrations.executor import MigrationExecutor
        from django.db.migrations.recorder import MigrationRecorder
        from django.db.models.signals import post_migrate

        recorder, editor = self, self.connection.SchemaEditorClass
        original_apply, original_execute = MigrationExecutor.apply_migration, editor.execute
        record_applied, record_unapplied = MigrationRecorder.record_applied, MigrationRecorder.record_unapplied

        def apply_migration(executor, state, migration, *arguments, **named):
            recorder.guarded(recorder.check, migration)
            state = original_apply(executor, state, migration, *arguments, **named)
            recorder.statements.append(TRANSACTION_END)
            return state

        def execute(schema_editor, *arguments, **named):
            with recorder.having("editing"):
                return original_execute(schema_editor, *arguments, **named)

        def applied(ledger, app, name):
            recorder.guarded(recorder.record_ledger, app, name)
            with recorder.having("suppressed"):
                return record_applied(ledger, app, name)

        def unapplied(ledger, app, name):
            recorder.refuse(f"{app}.{name} is unapplied")
            return record_unapplied(ledger, app, name)

        if not self.lost_app:
            self.guarded(self.check_receivers)
        self.guarded(self.record_settings)
        with ExitStack() as stack:
            stack.enter_context(replaced(MigrationExecutor, "apply_migration", apply_migration))
            stack.enter_context(replaced(editor, "execute", execute))
            stack.enter_context(replaced(MigrationRecorder, "record_applied", applied))
            stack.enter_context(replaced(MigrationRecorder, "record_unapplied", unapplied))
            stack.enter_context(self.connection.execute_wrapper(self.execute))
            post_migrate.connect(self.after_migrations)
            stack.callback(post_migrate.disconnect, self.after_migrations)
            yield self

    @contextmanager
    def having(self, name):
        before = getattr(self, name)
        setattr(self, name, True)
        try:
            yield
        finally:
            setattr(self, name, before)

    def refuse(self, why):
        if why not in self.refusals:
            self.refusals.append(why)

    def guarded(self, function, *arguments):
        """An error of the recording is no error of the migration."""
        try:
            function(*arguments)
        except Exception as error:
            self.refuse(f"{function.__name__} failed with {type(error).__name__}: {error}")

    def compose(self, sql, params=None):
        return sql if params is None else self.connection.ops.compose_sql(sql, params)

    def execute(self, execute, sql, params, many, context):
        """An execute wrapper."""
        result = execute(sql, params, many, context)
        if not self.suppressed:
            self.guarded(self.record_statement, sql, params, many)
        return result

    def record_statement(self, sql, params, many):
        text = sql if isinstance(sql, str) else sql.as_string(self.connection.connection)
        # django-tenants selects the schema for each cursor.
        if text.startswith("SET search_path = "):
            return
        if self.editing and not many:
            self.statements.append(self.compose(text, params).rstrip().rstrip(";"))
            return
        head = " ".join(text.split(None, 4)[:4])
        if not head.upper().startswith(HARMLESS) and not self.is_by_name(text):
            self.refuse(f"a statement runs outside of the migrations' operations: {head}")

    def is_by_name(self, text):
        """Whether the recording contains the change of these rows by their names."""
        known = [f"INSERT INTO {table} " for table in self.row_tables() if table]
        if self.renames:
            known.append(f'UPDATE {self.renames} SET "model" = ')
        return text.startswith(tuple(known))

    def row_tables(self):
        """The tables of the content types and of the permissions; an empty text if the app is not installed."""
        from django.apps import apps

        labels = [("contenttypes", "ContentType"), ("auth", "Permission")]
        installed = [(label, apps.is_installed(f"django.contrib.{label[0]}")) for label in labels]
        return [self.table(apps.get_model(*label)) if known else "" for label, known in installed]

    def table(self, model):
        return self.connection.ops.quote_name(model._meta.db_table)

    def ledger_table(self):
        from django.db.migrations.recorder import MigrationRecorder

        return self.table(MigrationRecorder.Migration)

    def record_ledger(self, app, name):
        insert = f'INSERT INTO {self.ledger_table()} ("app", "name", "applied") VALUES (%s, %s, pg_catalog.now())'
        self.statements.append(self.compose(insert, [app, name]))

    def record_settings(self):
        with self.connection.cursor() as cursor:
            for name in SETTINGS:
                cursor.execute(f"SELECT pg_catalog.current_setting('{name}')", None)
                self.statements.append(self.compose(f"SET LOCAL {name} = %s", [cursor.fetchone()[0]]))

    # What the migrations contain

    def check(self, migration):
        """Refuses a migration whose statements would not be right in another schema."""
        from django.db.migrations import Migration

        name = f"{migration.app_label}.{migration.name}"
        if type(migration).apply is not Migration.apply:
            self.refuse(f"{name} has its own `apply`")
        effective = [self.check_operation(name, migration.app_label, operation) for operation in migration.operations]
        if not migration.atomic and any(effective):
            self.refuse(f"{name} does not run in a transaction")

    def check_operation(self, name, app, operation):
        """Returns whether the operation has an effect in this schema."""
        from django.db.migrations import operations

        kind = type(operation)
        if kind is operations.SeparateDatabaseAndState:
            return any([self.check_operation(name, app, inner) for inner in operation.database_operations])
        if f"{kind.__module__}.{kind.__name__}" == "django.contrib.contenttypes.management.RenameContentType":
            self.rename_content_type(operation)
            return True
        if isinstance(operation, (operations.RunPython, operations.RunSQL)):
            if not self.allowed(app, **operation.hints):
                return False
            what = "Python code" if isinstance(operation, operations.RunPython) else "its own SQL"
            self.refuse(f"{name} runs {what}")
            return True
        model = getattr(operation, "model_name", None) or getattr(operation, "name", None)
        if isinstance(model, str) and not self.allowed(app, model_name=model.lower()):
            return False
        if not is_schema_operation(kind):
            self.refuse(f"{name} has the operation {kind.__module__}.{kind.__qualname__}")
        elif not self.lost_app and kind in (operations.AddField, operations.AlterField) and computes(operation.field):
            self.refuse(f"{name} computes the default of {operation.model_name}.{operation.name}")
        return True

    def allowed(self, app, **hints):
        from django.db import router

        return router.allow_migrate(self.connection.alias, app, **hints)

    def rename_content_type(self, operation):
        from django.apps import apps

        table = self.table(apps.get_model("contenttypes", "ContentType"))
        if self.allowed("contenttypes", model_name="contenttype"):
            self.renames = table
            app, new = operation.app_label, operation.new_model
            update = f"""UPDATE {table} SET model = %s WHERE app_label = %s AND model = %s
                AND NOT EXISTS (SELECT FROM {table} WHERE app_label = %s AND model = %s)"""
            self.statements.append(self.compose(update, [new, app, operation.old_model, app, new]))

    # What the signals' receivers do

    def check_receivers(self):
        from django.apps import apps
        from django.db.models.signals import post_migrate, pre_migrate

        senders = [(signal, config) for signal in (pre_migrate, post_migrate) for config in apps.get_app_configs()]
        if apps.is_installed("django_tenants"):
            from django_tenants.migration_executors.base import run_migrations
            from django_tenants.signals import schema_migrated, schema_pre_migration

            senders += [(schema_pre_migration, run_migrations), (schema_migrated, run_migrations)]
        for signal, sender in senders:
            live = signal._live_receivers(sender)
            for receiver in [*live[0], *live[1]] if isinstance(live, tuple) else live:
                kind = receiver if hasattr(receiver, "__qualname__") else type(receiver)
                name = f"{kind.__module__}.{kind.__qualname__}"
                if name not in KNOWN_RECEIVERS:
                    self.refuse(f"the signal's receiver {name} runs for each schema")

    def after_migrations(self, sender, using, apps, **_):
        """A receiver of `post_migrate`."""
        self.guarded(self.note_rows, sender, using, apps)

    def note_rows_before(self):
        """Notes the content types and permissions of the schema, which the migration does not insert."""
        types, permissions = self.row_tables()
        joined = f"{types} t JOIN {permissions} p ON p.content_type_id = t.id"
        queries = {types: f"SELECT app_label, model FROM {types}", permissions: f"SELECT t.app_label, t.model, p.codename FROM {joined}"}
        with self.having("suppressed"), self.connection.cursor() as cursor:
            for table in filter(None, queries):
                cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", [table])
                if cursor.fetchone()[0]:
                    cursor.execute(queries[table], None)
                    self.rows_before.update(cursor.fetchall())

    def note_rows(self, sender, using, apps):
        """Notes the rows of an app that exist after Django's own receivers."""
        from django.db import router

        def model(app, name):
            try:
                found = apps.get_model(app, name)
            except LookupError:
                return None
            return found if router.allow_migrate_model(using, found) else None

        content_type, permission, site = model("contenttypes", "ContentType"), model("auth", "Permission"), model("sites", "Site")
        if site is not None:
            self.prove("django_site has a row", f"SELECT EXISTS (SELECT FROM {self.table(site)})::text")
        if content_type is None or not sender.models_module:
            return
        try:
            models = list(apps.get_app_config(sender.label).get_models())
        except LookupError:
            return
        for found in models:
            key = sender.label, found._meta.model_name
            self.content_types[key] = self.table(content_type)
            if permission is not None:
                from django.contrib.auth.management import _get_all_permissions

                for codename, name in _get_all_permissions(found._meta):
                    self.permissions[(*key, codename)] = (str(name), self.table(permission))

    def record_rows(self):
        """Records the content types and permissions by name, because their numbers differ in each schema."""
        if self.content_types:
            table = next(iter(self.content_types.values()))
            into = f"{table} (app_label, model)"
            self.insert({key: key for key in self.content_types}, lambda rows: f"INSERT INTO {into} VALUES {rows} ON CONFLICT DO NOTHING")
            self.count("the content types", f"{table} t", "t.app_label, t.model", self.content_types)
        if self.permissions:
            permission = next(iter(self.permissions.values()))[1]
            names = {key: name for key, (name, _) in self.permissions.items()}
            joined = f"{table} t ON t.app_label = v.app AND t.model = v.model"
            into = f"{permission} (name, content_type_id, codename)"
            self.insert(
                {key: (*key, name) for key, name in names.items()},
                lambda rows: f"INSERT INTO {into} SELECT v.name, t.id, v.code FROM (VALUES {rows}) AS v(app, model, code, name) "
                f"JOIN {joined} ON CONFLICT DO NOTHING",
            )
            joined = f"{permission} p JOIN {table} t ON t.id = p.content_type_id"
            self.count("the permissions", joined, "t.app_label, t.model, p.codename", self.permissions)

    def insert(self, values, statement):
        """Records the insertion of the rows that the migration inserts here, and separately that of all rows."""

        def rows(keys):
            return ", ".join(self.compose(f"({', '.join(['%s'] * len(values[key]))})", values[key]) for key in keys)

        new = [key for key in values if key not in self.rows_before]
        if new:
            self.statements.append(statement(rows(new)))
        self.completion.append(statement(rows(values)))

    def count(self, what, tables, columns, keys):
        """The rows are unique by these columns, and neither an app nor a model contains a point."""
        names = [".".join(key) for key in keys]
        self.prove(what, self.compose(f"SELECT count(*)::text FROM {tables} WHERE concat_ws('.', {columns}) = ANY (%s::text[])", [names]))

    # The result

    def prove(self, what, sql):
        """Adds a query whose result in every schema must be the one in the recorded schema."""
        if not any(proof["sql"] == sql for proof in self.proofs):
            self.proofs.append({"what": what, "sql": sql})

    def result(self):
        """The recording; its schema is selected on the connection."""
        recording = {}
        if not self.refusals:
            self.guarded(self.complete, recording)
        return {"refused": "; ".join(self.refusals)} if self.refusals else {"recording": recording}

    def complete(self, recording):
        self.record_rows()
        rows = "string_agg(app || '.' || name, ' ' ORDER BY app COLLATE \"C\", name COLLATE \"C\")"
        self.prove("the ledger", f"SELECT md5({rows}) FROM {self.ledger_table()}")
        with self.having("suppressed"), self.connection.cursor() as cursor:
            for proof in self.proofs:
                cursor.execute(proof["sql"], None)
                proof["answer"] = cursor.fetchone()[0]
        self.note_session(recording)
        recording.update(statements=self.statements, proofs=self.proofs, completion=self.completion)

    def note_session(self, recording):
        with self.having("suppressed"), self.connection.cursor() as cursor:
            cursor.execute("SELECT current_user::text, pg_catalog.current_schemas(false)::text[]", None)
            role, search_path = cursor.fetchone()
        recording.update(role=role, search_path=search_path[1:])


@contextmanager
def replaced(owner, name, value):
    original = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if original is None:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


def is_schema_operation(kind):
    """Whether an operation's statements depend on the schema's structure alone."""
    from django.db.migrations import operations

    if kind.__module__ == "django.contrib.postgres.operations":
        return kind.__name__ in ("AddConstraintNotValid", "ValidateConstraint")
    return getattr(operations, kind.__name__, None) is kind


def computes(field):
    """Whether code of the project computes the value that existing rows get."""
    if not type(field).get_default.__module__.startswith("django."):
        return True
    if not field.has_default() or not callable(field.default):
        return False
    module, name = getattr(field.default, "__module__", ""), getattr(field.default, "__name__", "")
    return not (module in ("builtins", "django.utils.timezone") or (module == "datetime" and name in ("now", "today", "utcnow")))


def send_recording(recording):
    text = json.dumps(recording)
    for start in range(0, len(text), PIECE_CHARACTERS):
        send(recorded=text[start : start + PIECE_CHARACTERS])
