"""Applies a Django project's migrations to several schemas with one start of Python.

Portcullis runs it with the project's own interpreter: `python -c SCRIPT MANAGE stop|continue|at-once SCHEMA...`, where MANAGE
may be empty and each SCHEMA is `shared` or `tenant:NAME`. Each is migrated by the project's own `migrate_schemas`
(`migrate` without django-tenants). A line before and after each schema says which it is and how it went.
"""

import os
import runpy
import signal
import sys
import traceback

MARK = "\x1eportcullis"
stopping = []


def main():
    manage, on_failure, schemas = sys.argv[1], sys.argv[2], sys.argv[3:]
    # What was begun is finished: a migration that is not atomic would stay half done.
    if on_failure != "at-once":
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    # One stream, so that every line is known to belong to its schema.
    sys.stdout.flush()
    os.dup2(1, 2)
    sys.stdout.reconfigure(line_buffering=True)
    prepare(manage)
    from django.apps import apps
    from django.core.management import ManagementUtility

    tenants = apps.is_installed("django_tenants")
    code = 0
    for schema in schemas:
        if stopping:
            break
        print(f"{MARK} begin {schema}", flush=True)
        argv = [manage or "manage.py", *command(schema, tenants), "--noinput"]
        if applies(ManagementUtility, argv):
            print(f"\n{MARK} done {schema}", flush=True)
        else:
            print(f"\n{MARK} failed {schema}", flush=True)
            code = 1
            if on_failure == "stop":
                break
    sys.exit(code)


def prepare(manage):
    sys.path.insert(0, os.path.dirname(os.path.abspath(manage)) if manage else os.getcwd())
    import django.core.management as management

    if manage:
        sys.argv = [manage, "migrate"]
        original, management.execute_from_command_line = management.execute_from_command_line, lambda *_: None
        runpy.run_path(manage, run_name="__main__")
        management.execute_from_command_line = original
    import django

    django.setup()


def command(schema, tenants):
    if schema == "shared":
        return ["migrate_schemas", "--shared"] if tenants else ["migrate"]
    return ["migrate_schemas", "--tenant", f"--schema={schema.removeprefix('tenant:')}"]


def applies(utility, argv):
    try:
        utility(argv).execute()
    except SystemExit as end:
        return not end.code
    except BaseException:
        print()
        traceback.print_exc()
        return False
    return True


main()
