"""Writes the project's expectation of its database as Portcullis's manifest.

`python -c SCRIPT MANAGE OUTPUT`. It needs no database.
"""

import hashlib
import platform

# PostgreSQL truncates identifiers to this many bytes.
NAME_BYTES = 63


def main():
    manage, output = sys.argv[1], sys.argv[2]
    prepare(manage)
    base = os.path.dirname(os.path.abspath(manage)) if manage else os.getcwd()
    with open(output, "w", encoding="utf-8") as file:
        file.write(text(manifest(base)))


def manifest(base):
    import django
    from django.apps import apps
    from django.conf import settings
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    # The graph with both squashes and the migrations that they replace.
    full_graph = MigrationLoader(None, ignore_no_migrations=True, replace_migrations=False).graph
    migrations = [entry(key, loader.disk_migrations[key]) for key in order(full_graph)]
    state = loader.project_state().apps
    models = list(state.get_models(include_auto_created=True))
    versions = {"django": django.get_version(), "python": platform.python_version()}
    facts = {
        "versions": versions,
        "owners": {},
        "depends": depends(full_graph),
        "code": sorted(name(key) for key, m in loader.disk_migrations.items() if runs_code(m.operations)),
        "not_atomic": sorted(name(key) for key, m in loader.disk_migrations.items() if not m.atomic),
        "sources": sources(loader, base),
    }
    types, alias = {}, "default"
    if apps.is_installed("django_tenants"):
        from django_tenants import utils

        versions["django_tenants"] = version_of("django-tenants")
        facts["shared_schema"] = public = utils.get_public_schema_name()
        facts["registry"] = registry(utils)
        alias = utils.get_tenant_database_alias()
        shared = tables(models, alias, public, public)
        if utils.has_multi_type_tenants():
            names = [kind for kind in utils.get_tenant_types() if kind != public]
            types = {kind: tables(models, alias, "a tenant", kind) for kind in names}
            tenant = common(list(types.values()))
        else:
            tenant = tables(models, alias, "a tenant", None)
    else:
        shared, tenant = tables(models, "default", None, None), {}
    try:
        report_changed_models(loader)
    except Exception as error:
        send(warning=f"cannot compare the models with the migrations: {describe(error)['message']}")
    others = other_databases(models, alias)
    if others:
        facts["other_databases"] = others
    expected = [shared, tenant, *types.values()]
    for model in models:
        table = table_name(model._meta)
        if any(table in tables_of_schema for tables_of_schema in expected):
            app = model._meta.app_label
            facts["owners"][table] = {"app": app, "model": f"{app}.{model._meta.object_name}"}
    made = created(full_graph, loader.disk_migrations, state)
    rules = "django-6.0" if django.VERSION >= (6, 0) else "django-5.2"
    has_tenants = "registry" in facts
    return {
        "format": 4,
        "framework": rules,
        "shared": {"migrations": migrations, "tables": shared, "creates": within(made, [shared])},
        "tenant": {
            "migrations": migrations if has_tenants else [],
            "tables": tenant,
            "creates": within(made, [tenant, *types.values()]),
        },
        **({"types": types} if types else {}),
        **facts,
    }


def order(graph):
    """Every migration on disk, each after its dependencies."""
    ordered = {}
    for leaf in sorted(graph.leaf_nodes()):
        for key in graph.forwards_plan(leaf):
            ordered.setdefault(key)
    return list(ordered)


def depends(graph):
    """Each app with the apps on whose migrations its own depend."""
    found = {}
    for (app, _), node in sorted(graph.node_map.items()):
        found.setdefault(app, set()).update(parent.key[0] for parent in node.parents if parent.key[0] != app)
    return {app: sorted(apps) for app, apps in found.items() if apps}


def entry(key, migration):
    entry = {"id": name(key), "name": name(key), "app": key[0]}
    if migration.replaces:
        entry["replaces"] = [name(tuple(replaced)) for replaced in migration.replaces]
    return entry


def name(key):
    return f"{key[0]}.{key[1]}"


def created(graph, disk_migrations, apps):
    """The tables and columns that each migration creates, by the final names; renamed ones and those of migrations that do not run in
    a transaction are left out."""
    found = {}
    replaced = {name(key): {name(tuple(other)) for other in m.replaces} for key, m in disk_migrations.items()}
    for key in order(graph):
        migration = disk_migrations[key]
        for table, columns in objects(key[0], migration.operations, apps):
            for other, tables in found.items():
                same = other == name(key) or other in replaced[name(key)] or name(key) in replaced[other]
                # A later migration creates it again.
                if table in tables and not same:
                    tables[table] -= columns
            if migration.atomic:
                found.setdefault(name(key), {}).setdefault(table, set()).update(columns)
    return found


def objects(app, operations, apps):
    from django.db.migrations import operations as kinds

    for operation in operations:
        if isinstance(operation, kinds.SeparateDatabaseAndState):
            yield from objects(app, operation.database_operations, apps)
        elif isinstance(operation, kinds.CreateModel):
            yield from fields(app, operation.name, {field for field, _ in operation.fields}, apps)
        elif isinstance(operation, kinds.AddField):
            yield from fields(app, operation.model_name, {operation.name}, apps)


def fields(app, model_name, names, apps):
    """The tables and columns of these fields of the final model, if it still has them."""
    try:
        options = apps.get_model(app, model_name)._meta
    except LookupError:
        return
    columns = {cut(field.column) for field in options.local_concrete_fields if field.column and field.name in names}
    if columns:
        yield table_name(options), columns
    for field in options.local_many_to_many:
        through = field.remote_field.through._meta
        if field.name in names and through.auto_created:
            yield table_name(through), {cut(field.column) for field in through.local_concrete_fields}


def within(made, schemas):
    """Those of the created tables and columns that one of these kinds of schemas has."""
    found = {}
    for migration, tables in made.items():
        kept = {}
        for table, columns in tables.items():
            there = columns & {column for schema in schemas for column in schema.get(table, [])}
            if there:
                kept[table] = sorted(there)
        if kept:
            found[migration] = kept
    return found


def runs_code(operations):
    from django.db.migrations.operations import RunPython, RunSQL, SeparateDatabaseAndState

    return any(
        isinstance(operation, (RunPython, RunSQL))
        or (isinstance(operation, SeparateDatabaseAndState) and runs_code(operation.database_operations))
        for operation in operations
    )


def sources(loader, base):
    """Each app's migration folder, relative to the project's, with the digests of its modules: they detect a stale manifest without Python."""
    from importlib import import_module

    found = {}
    for app in sorted(loader.migrated_apps):
        module = import_module(loader.migrations_module(app)[0])
        folder = list(module.__path__)[0]
        relative = os.path.relpath(folder, base)
        files = {}
        for file in sorted(os.listdir(folder)):
            if file.endswith((".py", ".pyc", ".so")) and file[0] not in "_~":
                with open(os.path.join(folder, file), "rb") as opened:
                    files[file] = hashlib.sha256(opened.read()).hexdigest()[:16]
        inside = not relative.startswith("..") and "site-packages" not in relative
        found[app] = {"folder": relative if inside else os.path.abspath(folder), "files": files}
    return found


def tables(models, alias, schema, kind):
    """The tables and their columns that the project's routers create in this kind of schema."""
    from django.db import connections, router

    connection = connections[alias]
    if schema is not None:
        connection.set_schema(schema, tenant_type=kind) if kind else connection.set_schema(schema)
    found = {}
    for model in models:
        options = model._meta
        # A name such as `"reports"."monthly"` selects its own schema.
        if not options.can_migrate(connection) or '"' in options.db_table.strip('"'):
            continue
        if router.allow_migrate_model(alias, model):
            columns = {cut(field.column) for field in options.local_concrete_fields if field.column}
            found[table_name(options)] = sorted(columns)
    return dict(sorted(found.items()))


def other_databases(models, alias):
    """The further databases in which the project's routers create tables; a copy of another database is none."""
    from django.db import connections, router

    def is_copy(other):
        return connections.settings[other].get("TEST", {}).get("MIRROR")

    others = [other for other in connections if other != alias and not is_copy(other)]
    return sorted(other for other in others if any(router.allow_migrate_model(other, model) for model in models))


def report_changed_models(loader):
    """Names the models that differ from the migrations, as `makemigrations --check` does."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.questioner import MigrationQuestioner
    from django.db.migrations.state import ProjectState

    # This questioner asks nobody.
    questioner = MigrationQuestioner(dry_run=True)
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps), questioner)
    for app, migrations in detector.changes(graph=loader.graph).items():
        changes = [operation.describe() for migration in migrations for operation in migration.operations]
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        send(warning=f"the models of `{app}` have changes without a migration ({'; '.join(changes[:3])}{more}): "
                     f"python manage.py makemigrations {app}")


def common(every):
    first = every[0] if every else {}
    return {table: columns for table, columns in first.items() if all(table in other for other in every)}


def cut(identifier):
    return identifier.encode()[:NAME_BYTES].decode(errors="ignore")


def table_name(options):
    """The table's name. Django accepts a name that is already quoted."""
    name = options.db_table
    return cut(name[1:-1] if name.startswith('"') and name.endswith('"') else name)


def registry(utils):
    options = utils.get_tenant_model()._meta
    found = {
        "table": table_name(options),
        "schema_column": options.get_field("schema_name").column,
        "columns": sorted(field.column for field in options.local_concrete_fields if field.column),
    }
    if utils.has_multi_type_tenants():
        field = utils.get_multi_type_database_field_name()
        found["type_column"] = options.get_field(field).column
    found["defaults"] = defaults(options, {found["schema_column"]})
    found["domains"] = domains(utils.get_tenant_domain_model()._meta, options)
    return found


def domains(options, tenant):
    """The table that maps a request's host to its tenant."""
    link = next(field for field in options.local_concrete_fields if field.is_relation and field.related_model._meta is tenant)
    found = {
        "table": table_name(options),
        "domain_column": options.get_field("domain").column,
        "tenant_column": link.column,
        "key_column": link.target_field.column,
    }
    primary = [field.column for field in options.local_concrete_fields if field.name == "is_primary"]
    if primary:
        found["primary_column"] = primary[0]
    found["defaults"] = defaults(options, {*found.values()})
    return found


def version_of(distribution):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def text(value, depth=0):
    """JSON with one line per migration, table and module, so that a change is one line in a diff."""
    pad = "  " * (depth + 1)
    if isinstance(value, dict) and value and not leaf(value):
        inner = [f"{pad}{json.dumps(key)}: {text(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner) + "\n" + "  " * depth + "}" + ("\n" if depth == 0 else "")
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = [f"{pad}{text(item, depth + 1)}" for item in value]
        return "[\n" + ",\n".join(inner) + "\n" + "  " * depth + "]"
    return json.dumps(value)


def leaf(value):
    return "id" in value or "model" in value


run(main)
