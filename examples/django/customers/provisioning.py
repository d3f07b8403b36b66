"""Creates a customer's tenant from the web application: completely, or not at all.

Do not call it inside a transaction: the command has its own sessions and would wait for the caller, which waits for it.
Call it from a background job if the migrations take longer than a request may.
"""

import json
import os
import subprocess

from django.db import transaction

# A sign-up waits for a shorter time than a deployment.
LOCK_TIMEOUT = "20s"


class NotCreated(Exception):
    """The tenant was not created. `again` is true if a later attempt may succeed."""

    def __init__(self, message, again=False):
        super().__init__(message)
        self.again = again


class Exists(NotCreated):
    """The name is already used."""


def create_tenant(name, schema, domain):
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("create_tenant must not be called inside a transaction")
    argv = ["portcullis", "tenant", "create", "--json", f"--schema={schema}", f"--domain={domain}", "--", name]
    env = {**os.environ, "LOCK_TIMEOUT": LOCK_TIMEOUT}
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return
    try:
        failure = json.loads(done.stdout)["failure"]
    except ValueError:
        raise NotCreated(f"ended with {done.returncode}: {done.stderr[-2000:]}", again=done.returncode > 128)
    if failure["left"] == "as it was":
        raise Exists(failure["message"])
    # A lock time-out, an unreachable database, or leftovers that the next run removes.
    again = done.returncode in (74, 75) or failure["left"] == "later"
    raise NotCreated(failure["message"], again=again)
