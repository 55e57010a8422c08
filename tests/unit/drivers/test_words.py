# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is kept of a driver's words: all that helps an administrator, and no credential."""

import pytest

from networking_workflow.drivers import words

SECRET = "hunter2-QpX/9+z="


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot open ssl:6641 of https://admin:{}@fabric-7:443/v1", "@fabric-7:443/v1"),
        ("https://admin:p@{}@fabric-7/v1", "@fabric-7/v1"),
        ("mysql+pymysql://neutron:{}@10.0.0.5/neutron is away", "@10.0.0.5/neutron is away"),
        ("sent {{'Authorization': 'Basic {}', 'Host': 'fabric-7'}}", "'Host': 'fabric-7'"),
        ("Authorization: Bearer {}\r\nHost: fabric-7", "\r\nHost: fabric-7"),
        ("the fabric refused bearer {}, it says", ", it says"),
        ("Cookie: session={}; path=/\nHost: fabric-7", "\nHost: fabric-7"),
        ("X-Auth-Token: {}\nHost: fabric-7", "\nHost: fabric-7"),
        ("curl -H 'X-Subject-Token: {}' fabric-7", " fabric-7"),
        ("GET /v1/port?access_token={}&id=7 answered 401", " answered 401"),
        ('{{"user": "admin", "password": "{}", "port": 7}}', '"user": "admin"'),
        ('{{\\"api_key\\": \\"{}\\", \\"port\\": 7}}', '\\"port\\": 7'),
        ("Client(user='admin', passwd=b'{}', port=7)", "port=7"),
        ("<adminPass>{}</adminPass><id>7</id>", "<id>7</id>"),
        ("ssh --password {} fabric-7", "fabric-7"),
        ("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", "-----END RSA"),
    ],
)
def test_credentials_are_masked_and_what_is_around_them_stays(text: str, kept: str) -> None:
    masked = words.masked(text.format(SECRET))
    assert SECRET not in masked
    assert SECRET[:7] not in masked
    assert kept in masked
    assert words.MASK in masked
    assert words.masked(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "HTTPConnectionPool(host='10.0.0.5', port=6641): Max retries exceeded with url: /v1/port",
        "GET http://fabric-7:8443/v1/mail/admin@fabric-7 answered 404",
        "Transaction TXN queue is full: [Errno 104] reset by ssh://root@fabric-7",
        "port 7: wanted 'up', observed 'down'; see /var/log/fabric.log at 12:00:01",
        '{"details":"Transaction causes multiple rows in \\"Logical_Switch\\" table",'
        '"error":"constraint violation"}',
    ],
)
def test_words_without_credentials_stay_as_they_are(text: str) -> None:
    assert words.masked(text) == text


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError(SECRET)


def test_an_error_whose_text_cannot_be_had_is_named_by_its_class() -> None:
    assert words.of(SpeechlessError()).startswith("SpeechlessError: ")
    assert SECRET not in words.of(SpeechlessError())


def test_a_trace_shows_what_an_error_came_from_without_its_credentials() -> None:
    try:
        try:
            raise ValueError(f"token={SECRET}")
        except ValueError as error:
            raise RuntimeError("the fabric refused") from error
    except RuntimeError as error:
        trace = words.with_trace(error)
    assert "ValueError: token=***" in trace
    assert "RuntimeError: the fabric refused" in trace
    assert __file__ in trace
    assert SECRET not in trace
