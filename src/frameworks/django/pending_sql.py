"""Prints the SQL of migrations with Django's own sqlmigrate. It executes none of it: every transaction is read-only.

`python -c SCRIPT MANAGE REQUESTS`, where REQUESTS is a JSON list of `[SCHEMA, [MIGRATION...]]`. The answer has a list of statements
for each migration; null is code of the project, and null in place of the list means that the SQL is not known.
"""

# One message has at most this number of characters, of which each may need two.
PIECE_CHARACTERS = 6000


def main():
    manage, requests = sys.argv[1], json.loads(sys.argv[2])
    prepare(manage)
    check_database()
    from django.apps import apps
    from django.db import connections

    tenants, alias = apps.is_installed("django_tenants"), "default"
    if tenants:
        from django_tenants.utils import get_tenant_database_alias

        alias = get_tenant_database_alias()
    connection = connections[alias]
    answer = []
    for schema, migrations in requests:
        name = schema.removeprefix("tenant:") if schema != "shared" else None
        select = (lambda: connection.set_schema(name) if name else connection.set_schema_to_public()) if tenants else lambda: None
        select()
        answer.append(statements_of(connection, select, migrations))
    text = json.dumps(answer)
    for start in range(0, len(text), PIECE_CHARACTERS):
        send(recorded=text[start : start + PIECE_CHARACTERS])


def statements_of(connection, select, migrations):
    from django.db import transaction
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection, replace_migrations=False)
    lists = []
    for migration in migrations:
        node = loader.graph.nodes.get(tuple(migration.split(".", 1)))
        try:
            # A transaction that was rolled back has reset the search path.
            select()
            with transaction.atomic(using=connection.alias):
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
                lists.append(node and [statement(line) for line in loader.collect_sql([(node, False)]) if is_statement(line)])
        except Exception as error:
            send(note=f"sqlmigrate cannot print {migration}: {describe(error)['message']}")
            lists.append(None)
    return lists


# Django's comment in the place of Python code.
CODE = "CANNOT BE WRITTEN AS SQL"


def is_statement(line):
    return CODE in line or not line.startswith("--")


def statement(line):
    return None if line.startswith("--") else line


run(main)
