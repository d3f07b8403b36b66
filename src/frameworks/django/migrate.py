"""Applies the project's migrations to several schemas with one start of Python.

`python -c SCRIPT MANAGE stop|continue|at-once|record SCHEMA...`, where each SCHEMA is `shared` or `tenant:NAME`. Each is migrated
by the project's own `migrate_schemas` (`migrate` without django-tenants). `record` also sends the recording of each tenant.
"""

import signal
import time
import traceback

stopping = []

# The migration in progress, or the last failed one.
migration_in_progress = None

# After a deadlock or a lock time-out.
ATTEMPTS = 3


def main():
    manage, on_failure, schemas = sys.argv[1], sys.argv[2], sys.argv[3:]
    # The current schema is finished: a migration that is not atomic would stay half applied.
    if on_failure != "at-once":
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    prepare(manage)
    check_database()
    report_migrations()
    from django.apps import apps

    tenants = apps.is_installed("django_tenants")
    code = 0
    for schema in schemas:
        if stopping:
            break
        separate(schema)
        send(begin=schema)
        # With --traceback, Django raises an error instead of printing it.
        argv = [manage or "manage.py", *command(schema, tenants), "--noinput", "--traceback"]
        error = apply_and_retry(argv, (lambda argv: apply_recorded(schema, argv)) if on_failure == "record" else apply)
        if error is None:
            send(done=schema)
        else:
            send(failed={"schema": schema, **describe(error)})
            code = 1
            if on_failure != "continue":
                break
    sys.exit(code)


def separate(schema):
    """Writes a separator line into the project's output before the schema's lines. The previous line may lack its line end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, b"\n\x1e" + os.fsencode(schema) + b"\n")


def report_migrations():
    from django.db.migrations.executor import MigrationExecutor

    apply_migration = MigrationExecutor.apply_migration

    def apply_and_report(self, state, migration, *arguments, **named):
        global migration_in_progress
        migration_in_progress = migration
        name = f"{migration.app_label}.{migration.name}"
        send(applying=name)
        with self.connection.execute_wrapper(wait_for_concurrent_index):
            state = apply_migration(self, state, migration, *arguments, **named)
        send(applied=name)
        migration_in_progress = None
        return state

    MigrationExecutor.apply_migration = apply_and_report


def wait_for_concurrent_index(execute, sql, params, many, context):
    """A concurrent index build waits for every older transaction and blocks none; a time-out would leave an invalid index."""
    if OPTIONS not in os.environ or "CONCURRENTLY" not in str(sql).upper():
        return execute(sql, params, many, context)
    execute("SET lock_timeout = 0", None, False, context)
    execute("SET statement_timeout = 0", None, False, context)
    try:
        return execute(sql, params, many, context)
    finally:
        execute("RESET lock_timeout", None, False, context)
        execute("RESET statement_timeout", None, False, context)


def command(schema, tenants):
    if schema == "shared":
        return ["migrate_schemas", "--shared"] if tenants else ["migrate"]
    return ["migrate_schemas", "--tenant", f"--schema={schema.removeprefix('tenant:')}"]


def apply_and_retry(argv, apply):
    """Runs the command again after a deadlock or a lock time-out, if the failed migration was rolled back."""
    global migration_in_progress
    for attempt in range(1, ATTEMPTS + 1):
        migration_in_progress = None
        error = apply(argv)
        atomic = migration_in_progress is None or migration_in_progress.atomic
        if error is None or not atomic or describe(error)["sqlstate"] not in LOCKED or attempt == ATTEMPTS or stopping:
            return error
        send(note=f"another session holds a lock; attempt {attempt + 1} of {ATTEMPTS} follows")
        time.sleep(attempt)


# lock_not_available and deadlock_detected
LOCKED = {"55P03", "40P01"}


def apply(argv):
    """Runs the command and returns its error, if it fails."""
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


def apply_recorded(schema, argv):
    from django.db import connections
    from django_tenants.utils import get_tenant_database_alias

    connection = connections[get_tenant_database_alias()]
    recorder = Recorder(connection)
    connection.set_schema(schema.removeprefix("tenant:"))
    recorder.guarded(recorder.note_rows_before)
    connection.set_schema_to_public()
    with recorder.recording():
        error = apply(argv)
    if error is None:
        connection.set_schema(schema.removeprefix("tenant:"))
        send_recording(recorder.result())
        connection.set_schema_to_public()
    return error


run(main)
