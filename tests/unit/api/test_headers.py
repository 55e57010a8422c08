# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What follows a request, where nobody else sees when it is over."""

import typing

import webob

from networking_workflow.api import headers, idempotency, prefer
from networking_workflow.capture import calls


def test_what_is_put_off_until_the_call_is_over_waits_for_the_answer_to_the_request() -> None:
    order: list[str] = []

    def application(environ: headers.Environ, start_response: headers.StartResponse) -> typing.Any:
        with calls.committed_ids():
            calls.after_call(lambda: order.append("conductor woken"))
        order.append("answered")
        return webob.Response(json_body={})(environ, start_response)

    waiting = prefer.Waiting(lambda ids: [], max_wait_s=1.0, most=1)
    around = headers.Around(application, waiting, idempotency.Keys(lambda key: None, application))
    assert webob.Request.blank("/v2.0/networks", POST=b"{}").get_response(around).status_int == 200
    assert order == ["answered", "conductor woken"]
