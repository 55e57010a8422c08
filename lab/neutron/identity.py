# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A paste filter that says who calls, for clients that have no Keystone to say it for them."""

import collections.abc
import typing

Application = typing.Callable[[dict[str, typing.Any], typing.Any], typing.Any]

_TOKEN = "member-of-"


def token(project_id: str) -> str:
    """Return what ``OS_TOKEN`` has to be, with ``OS_AUTH_TYPE=admin_token``."""
    return f"{_TOKEN}{project_id}"


def filter_factory(
    _global: collections.abc.Mapping[str, str], *, user: str, project: str, roles: str
) -> typing.Callable[[Application], Application]:
    """Return a filter that adds the headers of Keystone's middleware where there are none.

    Who sends the token that :func:`token` gives is a member of its project.
    """
    headers = {"HTTP_X_USER_ID": user, "HTTP_X_PROJECT_ID": project, "HTTP_X_ROLES": roles}
    member = {"HTTP_X_USER_ID": user, "HTTP_X_ROLES": "member,reader"}

    def wrap(application: Application) -> Application:
        def call(environ: dict[str, typing.Any], start_response: typing.Any) -> typing.Any:
            if "HTTP_X_USER_ID" not in environ:
                sent = environ.get("HTTP_X_AUTH_TOKEN", "")  # "notused" of OS_AUTH_TYPE=none
                project_id = sent.removeprefix(_TOKEN) if sent.startswith(_TOKEN) else None
                named = {"HTTP_X_PROJECT_ID": project_id} | member
                environ.update(named if project_id else headers)
            return application(environ, start_response)

        return call

    return wrap
