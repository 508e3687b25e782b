"""Fixtures that put `change-events serve` in the place of tycho's own server and of its database.

They have the names of tycho's fixtures, which they take the place of; the events and the tests are tycho's.
"""

import json
import os
import re
import subprocess
import time
import types

import aiohttp
import pytest
from aiohttp.web import HTTPNotFound

from tycho.models.event import Event

EVENTS = "/api/v1/event/"

# They look for a line in the Python log of tycho's own process; all else of them is in their other row.
LOOK_INTO_THE_PROCESS = ("test_put_event[True]", "test_post_event_merge[True]")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name in LOOK_INTO_THE_PROCESS:
            item.add_marker(pytest.mark.skip(reason="looks into tycho's process"))


@pytest.fixture
def loop(event_loop):
    return event_loop


@pytest.fixture
def url(tmp_path):
    """An empty server of its own for every test."""
    command = [os.environ["CHANGE_EVENTS_BINARY"], "serve", "--web.listen-address=127.0.0.1:0", f"--storage.path={tmp_path}/data"]
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            deadline = time.monotonic() + 30
            while "ready: replayed" not in log.read_text():
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield re.search(r"listening on (http://\S+)", log.read_text())[1]
        finally:
            server.terminate()


@pytest.fixture
def cli(loop, url):
    async def session():
        return aiohttp.ClientSession(url)

    client = loop.run_until_complete(session())
    yield client
    loop.run_until_complete(client.close())


class Events:
    """What the tests ask of tycho's database, asked by HTTP."""

    def __init__(self, client):
        self.client = client

    async def save(self, event):
        answer = await self.client.put(
            EVENTS, headers={"content-type": "application/json"}, data=json.dumps({"event": event.to_primitive()})
        )
        assert answer.status == 200, await answer.text()

    async def find_by_id(self, event_id):
        answer = await self.client.get(EVENTS + event_id)
        if answer.status == 404:
            raise HTTPNotFound
        return Event.from_dict(await answer.json())


@pytest.fixture
def db(cli):
    return types.SimpleNamespace(event=Events(cli))


@pytest.fixture
def app(db):
    return {"db": db, "config": types.SimpleNamespace(log_events=False)}


@pytest.fixture
def patch_update_time():
    """The server has a clock of its own."""
    return None
