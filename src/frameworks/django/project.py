"""The beginning of each program by which Portcullis uses a Django project.

Portcullis runs it with the project's own interpreter: `python -c SCRIPT MANAGE ...`, where MANAGE may be empty. Standard
output is Portcullis's alone: one JSON object a line. Whatever the project prints goes to standard error, into one stream.
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


def tell(**message):
    print(json.dumps(message), file=channel, flush=True)


def describe(error):
    """An exception as fields, with the SQLSTATE that psycopg knows."""
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
    """Runs the program; an exception is told before it ends Python as usual."""
    try:
        main()
    except BaseException as error:
        if not isinstance(error, SystemExit) or isinstance(error.code, str):
            tell(failed=describe(error))
        raise


def prepare(manage):
    """Sets Django up; the project's manage.py runs first, up to the point where it would execute its command line.

    Whatever it prepares (settings, environment, paths) holds here too. Without it, DJANGO_SETTINGS_MODULE must be set.
    """
    sys.path.insert(0, os.path.dirname(os.path.abspath(manage)) if manage else os.getcwd())
    if manage:
        import django.core.management as management

        reached = []
        original, management.execute_from_command_line = management.execute_from_command_line, lambda *_: reached.append(True)
        sys.argv = [manage, "migrate"]
        runpy.run_path(manage, run_name="__main__")
        management.execute_from_command_line = original
        if not reached:
            sys.exit(f"{manage} does not call execute_from_command_line")
    import django

    django.setup()


