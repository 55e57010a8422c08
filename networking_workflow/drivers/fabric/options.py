# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The group [fabric]: where the fabric is and how its driver binds ports."""

import typing

from neutron_lib.api.definitions import portbindings
from oslo_config import cfg

GROUP = "fabric"

OPTIONS = (
    cfg.StrOpt("url", default="http://127.0.0.1:8899", help="Base URL of the fabric."),
    cfg.FloatOpt(
        "timeout_s",
        default=10.0,
        min=0.1,
        max=300.0,
        help="Seconds to wait for one answer of the fabric; keep it below [workflow] lease_s.",
    ),
    cfg.StrOpt(
        "vif_type",
        default=portbindings.VIF_TYPE_OTHER,
        help="VIF type of ports that this driver binds, on any host; empty binds nothing.",
    ),
    cfg.BoolOpt(
        "asks_to_bind",
        default=False,
        help="Reserve the port's place on the fabric when it is bound, in bind_port, and wait for "
        "the answer; name the driver in [workflow] deferred_binding then.",
    ),
)


def list_opts() -> list[tuple[str, list[typing.Any]]]:
    """Return the options for the sample configuration."""
    return [(GROUP, list(OPTIONS))]
