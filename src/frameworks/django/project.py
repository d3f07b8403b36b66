"""The common part of the helper programs with which Portcullis uses a Django project.

Portcullis runs it with the project's own interpreter: `python -c SCRIPT MANAGE ...`, where MANAGE may be empty. Standard output
is the channel to Portcullis: one JSON object per line. The project's output goes to standard error.
"""

import json
import os
import runpy
import sys

channel = os.fdopen(os.dup(1), "w", encoding="ascii")
sys.stdout.flush()
os.dup2(2, 1)

# Portcullis reads lines of up to 16 KiB.
MESSAGE_CHARACTERS = 1000


def send(**message):
    print(json.dumps(message), file=channel, flush=True)


def describe(error):
    """An exception as fields, with psycopg's SQLSTATE."""
    sqlstate, cause, depth = None, error, 0
    while cause is not None and sqlstate is None and depth < 20:
        sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        cause, depth = cause.__cause__ or cause.__context__, depth + 1
    if isinstance(error, SystemExit):
        name, message = None, error.code if isinstance(error.code, str) else f"exit code {error.code}"
    else:
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        message = str(error)
    message = message[:MESSAGE_CHARACTERS].encode(errors="replace").decode()
    return {"class": name, "sqlstate": sqlstate if isinstance(sqlstate, str) else None, "message": message}


def run(main):
    """Runs the program; an exception is sent before it ends Python as usual."""
    try:
        main()
    except BaseException as error:
        if not isinstance(error, SystemExit) or isinstance(error.code, str):
            send(failed=describe(error))
        raise


def prepare(manage):
    """Sets Django up. The project's manage.py runs first, up to the execution of its command line.

    Its preparations (settings, environment, paths) apply here, too. Without manage.py, DJANGO_SETTINGS_MODULE must be set.
    """
    sys.path.insert(0, os.path.dirname(os.path.abspath(manage)) if manage else os.getcwd())
    if manage:
        import django.core.management as management

        utility = management.ManagementUtility
        originals = management.execute_from_command_line, utility.execute
        reached = []
        management.execute_from_command_line = utility.execute = lambda *_: reached.append(True)
        # If manage.py uses another function, `version` changes nothing.
        sys.argv = [manage, "version"]
        try:
            runpy.run_path(manage, run_name="__main__")
        except SystemExit:
            if not reached:
                raise
        finally:
            management.execute_from_command_line, utility.execute = originals
        if not reached:
            sys.exit(f"{manage} calls neither execute_from_command_line nor ManagementUtility.execute")
    import django

    django.setup()


class OtherDatabase(Exception):
    """The project's settings contain another database than Portcullis's configuration."""


def check_database():
    """Compares the database that the project would change with the one that Portcullis has locked and verifies."""
    if "PORTCULLIS_DATABASE" not in os.environ:
        return
    from django.apps import apps
    from django.db import connections

    alias = "default"
    if apps.is_installed("django_tenants"):
        from django_tenants.utils import get_tenant_database_alias

        alias = get_tenant_database_alias()
    expected, connection = json.loads(os.environ["PORTCULLIS_DATABASE"]), connections[alias]
    settings = connection.settings_dict
    name = f"{settings['NAME']} at {settings['HOST'] or 'localhost'}:{settings['PORT'] or 5432}"
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(expected["question"])
            if cursor.fetchone()[0] == expected["answer"]:
                return
    raise OtherDatabase(f"the project's database is `{name}`, but `[database]` is `{expected['name']}`")


