"""Applies the project's migrations to several schemas with one start of Python.

`python -c SCRIPT MANAGE stop|continue|at-once SCHEMA...`, where each SCHEMA is `shared` or `tenant:NAME`. Each is migrated by
the project's own `migrate_schemas` (`migrate` without django-tenants).
"""

import signal
import traceback

stopping = []


def main():
    manage, on_failure, schemas = sys.argv[1], sys.argv[2], sys.argv[3:]
    # What was begun is finished: a migration that is not atomic would stay half done.
    if on_failure != "at-once":
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    prepare(manage)
    check_database()
    tell_migrations()
    from django.apps import apps

    tenants = apps.is_installed("django_tenants")
    code = 0
    for schema in schemas:
        if stopping:
            break
        separate(schema)
        tell(begin=schema)
        # With --traceback, an error reaches us instead of being printed.
        error = applied([manage or "manage.py", *command(schema, tenants), "--noinput", "--traceback"])
        if error is None:
            tell(done=schema)
        else:
            tell(failed={"schema": schema, **describe(error)})
            code = 1
            if on_failure == "stop":
                break
    sys.exit(code)


def separate(schema):
    """Says in the project's output whose the next lines are. What stands there may lack its line end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, b"\n\x1e" + os.fsencode(schema) + b"\n")


def tell_migrations():
    from django.db.migrations.executor import MigrationExecutor

    apply_migration = MigrationExecutor.apply_migration

    def told(self, state, migration, *arguments, **named):
        name = f"{migration.app_label}.{migration.name}"
        tell(applying=name)
        state = apply_migration(self, state, migration, *arguments, **named)
        tell(applied=name)
        return state

    MigrationExecutor.apply_migration = told


def command(schema, tenants):
    if schema == "shared":
        return ["migrate_schemas", "--shared"] if tenants else ["migrate"]
    return ["migrate_schemas", "--tenant", f"--schema={schema.removeprefix('tenant:')}"]


def applied(argv):
    """The error that applying ended with, if it did."""
    from django.core.management import CommandError, ManagementUtility

    try:
        ManagementUtility(argv).execute()
    except SystemExit as end:
        return end if end.code else None
    except CommandError as error:
        print(f"CommandError: {error}", file=sys.stderr)
        return error
    except BaseException as error:
        traceback.print_exc()
        return error
    return None


run(main)
