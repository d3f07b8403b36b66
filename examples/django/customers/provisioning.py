"""Creates a customer's tenant from the web application: whole, or not at all.

Not inside a transaction of the caller's own: the command works in sessions of its own, and would wait for the caller that
waits for it. Call it from a background job where migrations take longer than a request may.
"""

import json
import os
import subprocess

from django.db import transaction

# Whoever signs up does not wait as long as a deployment.
LOCK_TIMEOUT = "20s"


class NotCreated(Exception):
    """It was not created; `again` says whether trying again later may help."""

    def __init__(self, message, again=False):
        super().__init__(message)
        self.again = again


class Exists(NotCreated):
    """The name is taken."""


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
    # The lock was not had in time, the database did not answer, or what is left is removed first by the next run.
    again = done.returncode in (74, 75) or failure["left"] == "later"
    raise NotCreated(failure["message"], again=again)
