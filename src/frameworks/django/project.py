"""The common part of the helper programs with which Portcullis uses a Django project.

Portcullis runs it with the project's own interpreter: `python -c SCRIPT MANAGE ...`, where MANAGE may be empty. Standard output
is the channel to Portcullis: one JSON object per line. The project's output goes to standard error.
"""

import json
import os
import re
import runpy
import sys

channel = os.fdopen(os.dup(1), "w", encoding="ascii")
sys.stdout.flush()
os.dup2(2, 1)

# libpq's variable with the time-outs of `[migrations] apply`.
OPTIONS = "PGOPTIONS"

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
    sqlstate = sqlstate if isinstance(sqlstate, str) else None
    return {"class": name, "sqlstate": sqlstate, "message": message, "variable": missing_variable(error)}


missing_variables = []


def note_missing_variables():
    """Records the environment variables that the project reads and that are not set."""
    environment = type(os.environ)
    read = environment.__getitem__

    def read_and_note(self, name):
        try:
            return read(self, name)
        except KeyError:
            missing_variables.append(name)
            raise

    environment.__getitem__ = read_and_note


def missing_variable(error):
    """The variable whose absence is the error: packages for settings have exceptions of their own, which name it."""
    text, depth = "", 0
    while error is not None and depth < 20:
        text, depth = f"{text} {error}", depth + 1
        error = error.__cause__ or error.__context__
    words = set(re.findall(r"\w+", text))
    return next((name for name in reversed(missing_variables) if name in words), None)


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
    note_missing_variables()
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
        except SystemExit as end:
            if not reached:
                sys.exit(end.code if isinstance(end.code, str) else f"{manage} exited with {end.code} before it executed its command line")
        finally:
            management.execute_from_command_line, utility.execute = originals
        if not reached:
            sys.exit(f"{manage} calls neither execute_from_command_line nor ManagementUtility.execute")
    import django

    django.setup()
    limit_sessions()


def limit_sessions():
    """Adds the time-outs to a database's own `options`, which would replace PGOPTIONS. The last setting of a name applies."""
    from django.db import connections

    for settings in connections.settings.values():
        own = settings.get("OPTIONS", {})
        if OPTIONS in os.environ and isinstance(own.get("options"), str):
            own["options"] = f"{os.environ[OPTIONS]} {own['options']}"


def unlimit_sessions():
    """Takes the time-outs back, for a pooler that refuses them."""
    from django.db import connections

    options = os.environ.pop(OPTIONS)
    for settings in connections.settings.values():
        own = settings.get("OPTIONS", {})
        if isinstance(own.get("options"), str):
            own["options"] = own["options"].removeprefix(f"{options} ")


def connect(connection):
    from django.db import OperationalError

    try:
        connection.ensure_connection()
    except OperationalError as error:
        # PgBouncer's errors are always in English.
        if OPTIONS not in os.environ or "startup parameter" not in str(error):
            raise
        unlimit_sessions()
        send(note="the project connects through a pooler, which refuses lock_timeout and statement_timeout")


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
        connect(connection)
        with connection.cursor() as cursor:
            cursor.execute(expected["question"])
            if cursor.fetchone()[0] == expected["answer"]:
                return
    raise OtherDatabase(f"the project's database is `{name}`, but `[database]` is `{expected['name']}`")


