# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver's own words, as administrators read them in ``failure_detail`` and in the log.

Hosts, addresses and traces help them and stay. Credentials help nobody and become ``***``.
"""

import re
import traceback

from oslo_utils import strutils

#: What stands where a credential stood.
MASK = "***"

_NAMES = r"passw(?:or)?d|passphrase|pwd|secret|token|credential|api[-_]?key|access[-_]?key"
_QUOTED_OR_BARE = r"""\\?'[^']*'|\\?"[^"]*"|[^\s,;&'"<>)}\]]+"""

#: Each keeps its first group, and what it says after that is masked.
_CREDENTIALS = (
    # https://user:password@host, whatever is in the password; not a port's number
    re.compile(r"(://[^\s/:@]*:)(?!\d{1,5}[/?#])[^\s'\"]{1,512}(?=@)"),
    # Authorization: Basic dXNlcjpwYXNz, {'Cookie': 'id=1; path=/'}
    re.compile(
        r"""((?:authorization|cookie)\\?['"]?\s*[:=]\s*)(?:b?'[^']*'|b?"[^"]*"|[^\r\n,}]+)""",
        re.IGNORECASE,
    ),
    re.compile(r"(\bbearer\s+)[\w.~+/=-]+", re.IGNORECASE),
    # X-Auth-Token: abc, ?access_token=abc, "api_key": "abc", password=abc
    re.compile(
        rf"""((?:{_NAMES})[\w-]*\\?['"]?\s*[:=]\s*b?)(?:{_QUOTED_OR_BARE})""", re.IGNORECASE
    ),
    re.compile(
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL | re.IGNORECASE
    ),
)


def masked(text: str) -> str:
    """Return ``text`` without the credentials that its form gives away.

    ``mask_password`` adds what OpenStack calls its own; it takes a URL's other parameters along.
    """
    for pattern in _CREDENTIALS:
        text = pattern.sub(rf"\1{MASK}", text)
    known: str = strutils.mask_password(text, secret=MASK)
    return known


def of(error: BaseException) -> str:
    """Return class and text of an error, masked; also of one whose ``str()`` raises."""
    text = traceback.TracebackException(type(error), error, None, limit=0)
    return masked(f"{type(error).__name__}: {text}")


def with_trace(error: BaseException) -> str:
    """Return an error with its traceback and those it came from, as logs show them; masked."""
    return masked("".join(traceback.format_exception(error)))
