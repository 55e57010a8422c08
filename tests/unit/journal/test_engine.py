# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Errors of the journal's connections are logged and recorded: they must not repeat a snapshot."""

import pymysql
import pytest
import sqlalchemy as sa

from networking_workflow.journal import engine


@pytest.mark.parametrize("polling", [False, True])
def test_an_error_does_not_repeat_parameters(tmp_path, polling):
    made = engine.make_engine(f"sqlite:///{tmp_path}/journal")
    used = engine.polling(made) if polling else made
    with used.connect() as connection, pytest.raises(sa.exc.OperationalError) as raised:
        connection.execute(sa.text("UPDATE nowhere SET snapshot = :s"), {"s": "a password"})
    made.dispose()
    assert "nowhere" in str(raised.value)
    assert "a password" not in str(raised.value)


@pytest.mark.parametrize("polling", [False, True])
def test_a_server_that_does_not_answer_is_given_up_unless_the_url_says_otherwise(
    monkeypatch, polling
):
    seen = []

    class Refuses(Exception):
        """Ends the connection attempt."""

    def connect(**options):
        seen.append(options)
        raise Refuses

    monkeypatch.setattr(pymysql, "connect", connect)
    for query in ("", "?read_timeout=5"):
        made = engine.make_engine(f"mysql+pymysql://u@h/d{query}")
        used = engine.polling(made) if polling else made
        with pytest.raises(Refuses):
            used.connect()
    assert [options["read_timeout"] for options in seen] == [75, 5]
    assert [options["connect_timeout"] for options in seen] == [10, 10]


@pytest.mark.parametrize("url", ["mysql+pymysql://u@h/d", "postgresql+psycopg2://u@h/d"])
def test_on_servers_neither(url):
    made = engine.make_engine(url)
    assert made.hide_parameters
    assert engine.polling(made).hide_parameters
