# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Ports in the answer of a call that waited for their binding.

The call itself answered them unbound (``capture.bindings``); who waited did so for the vif fields.
"""

import collections.abc
import typing

import webob
from neutron_lib.api.definitions import portbindings

Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]

_PORTS = "/ports"


def show_bound(request: webob.Request, response: webob.Response, application: Application) -> None:
    """Show ports that were answered unbound, on a host, as a GET by the same caller shows them."""
    place, _, path = request.path_info.partition(_PORTS)
    if place or path.count("/") > 1 or portbindings.VIF_TYPE.encode() not in response.body:
        return
    answer = response.json
    if isinstance(answer.get("port"), dict):
        answer["port"] = _shown(request, answer["port"], application)
    elif isinstance(answer.get("ports"), list):
        answer["ports"] = [_shown(request, port, application) for port in answer["ports"]]
    response.json = answer


def _shown(
    request: webob.Request, port: dict[str, typing.Any], application: Application
) -> dict[str, typing.Any]:
    if port.get(portbindings.VIF_TYPE) != portbindings.VIF_TYPE_UNBOUND:
        return port
    if not port.get(portbindings.HOST_ID):
        return port
    question = request.copy_get()
    question.path_info = f"{_PORTS}/{port['id']}"
    answer = question.get_response(application)
    if answer.status_int != 200:  # it has been deleted since
        return port
    shown: dict[str, typing.Any] = answer.json["port"]
    return shown
