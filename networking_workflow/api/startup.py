# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What must be right before a process with this plugin serves anything; otherwise it exits."""

import logging
import sys
import typing

from neutron_lib.db import api as db_api
from oslo_config import cfg
from oslo_db import exception as db_exc

from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.journal import schema
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

#: Tells gunicorn not to start the worker again (its WORKER_BOOT_ERROR); an error anywhere else.
EXIT_CODE = 3


def check(conf: cfg.ConfigOpts) -> None:
    """Check options and database.

    An unreachable database is waited for as long as [database] max_retries and retry_interval say.

    :raises ConfigurationError: says what is wrong and what to do.
    """
    conf_workflow.register_opts(conf)
    conf_workflow.check(conf)
    try:
        with db_api.get_reader_session().connection() as connection:
            schema.check(connection)
    except db_exc.DBError as error:
        raise errors.ConfigurationError(
            "The database of [database] connection does not answer: "
            f"{_first_line(error)}. Start it, or correct the URL."
        ) from error


def refuse(error: errors.ConfigurationError) -> typing.NoReturn:
    """Say in one line, in the log and on stderr, why this process does not start; and exit.

    :raises SystemExit: always; Neutron lets it pass, unlike an exception it would log at length.
    """
    LOG.critical("%s", error)
    sys.stderr.write(f"networking-workflow: {error}\n")
    raise SystemExit(EXIT_CODE)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
