# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What pages of other origins may send and read (CORS): our headers, where Neutron's may be."""

from oslo_middleware import cors

from networking_workflow.api import headers, idempotency, prefer

#: What our answers say in their headers.
READ = (
    *(headers.WORKFLOW_ID, prefer.WAIT, idempotency.REPLAYED),
    *("Preference-Applied", "Location", "Retry-After"),
)

#: What our callers say in theirs.
SENT = ("Prefer", idempotency.HEADER)


def allow() -> None:
    """Add them to the defaults of ``[cors]``, which Neutron has set by now.

    The middleware reads the options when it is made, after the plugin: it is outside of all else.
    What an operator names in ``expose_headers`` and ``allow_headers`` is taken as it is.
    """
    cors.set_defaults(
        expose_headers=_with("expose_headers", READ), allow_headers=_with("allow_headers", SENT)
    )


def _with(option: str, names: tuple[str, ...]) -> list[str]:
    (present,) = (list(one.default or []) for one in cors.OPTS if one.name == option)
    return present + [name for name in names if name not in present]
