"""Each operation of the OpenAPI document answers as the document says, and none with 5xx.

Usage: operations.py SITE TOKEN HASH OTHER_HASH: HASH and OTHER_HASH are torrents that the account `rd` knows and does not hold. The account `tb` has to download
First.2024, which takes it an hour.
"""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

SITE, TOKEN, HASH, OTHER = sys.argv[1:5]
API = "/api/v1"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
FILM = "__all__/First.2024"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Cases that are made up for each operation.
CASES = 8

session = requests.Session()
session.headers.update(HEADERS)
document = session.get(f"{SITE}{API}/openapi.json", timeout=10).json()
schema = schemathesis.openapi.from_dict(document)
schema.config.update(base_url=SITE)
answered = set()


def call(method, path, json=None, data=None, query=None, kind=None, **parts):
    """Calls an operation with real values; its answer has the form that the document says."""
    operation = schema[API + path][method]
    body = {"body": json} if json is not None else {"body": data} if data is not None else {}
    if body:
        body["media_type"] = kind or "application/json"
    case = operation.Case(path_parameters=parts or None, query=query or {}, headers=dict(HEADERS), **body)
    answer = case.call(base_url=SITE, timeout=60)
    assert 200 <= answer.status_code < 300, (method, path, answer.status_code, answer.content)
    case.validate_response(answer, checks=CHECKS)
    answered.add((method, API + path))
    return answer.json() if answer.content else None


def refused(code, label, method, path, **more):
    """A call that is refused with a problem."""
    answer = session.request(method, f"{SITE}{API}{path}", timeout=30, **more)
    assert answer.status_code == code, (path, answer.status_code, answer.content)
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    assert answer.json()["type"] == f"urn:debridfs:problem:{label}", answer.content


def until(what, done, seconds=60):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.1)


class Listener(threading.Thread):
    """Hears events from the moment it is made."""

    def __init__(self):
        super().__init__(daemon=True)
        self.heard = []
        self.answer = session.get(f"{SITE}{API}/events", stream=True, timeout=60)
        assert self.answer.headers["content-type"] == "text/event-stream"
        assert self.answer.status_code == 200
        answered.add(("GET", f"{API}/events"))
        self.start()

    def run(self):
        event = {}
        for line in self.answer.iter_lines(decode_unicode=True, chunk_size=1):
            if line:
                name, _, value = line.partition(":")
                event[name] = value.strip()
            elif event.get("event"):
                self.heard.append(event)
                event = {}

    def has(self, kind, holds):
        return any(one["event"] == kind and holds(json.loads(one["data"])) for one in list(self.heard))


def the_library():
    status = call("GET", "/status")
    assert status["library"]["releases"] == 2, status["library"]
    assert "__all__" in [view["name"] for view in call("GET", "/views")["views"]]
    assert call("GET", "/log")["lines"]
    assert call("GET", "/why", query={"path": "first 2024"})["path"] == FILM
    first = call("GET", "/browse", query={"path": "__all__", "limit": 1})
    rest = call("GET", "/browse", query={"path": "__all__", "cursor": first["next"]})
    names = sorted(line["name"] for line in first["entries"] + rest["entries"])
    assert len(first["entries"]) == 1, first
    assert names == ["First.2024", "Second"] and rest["next"] is None, (names, rest)
    found = call("GET", "/search", query={"q": "FIRST 2024"})
    assert [one["path"] for one in found["found"]] == [FILM]
    by_hash = call("GET", "/search", query={"q": found["found"][0]["hash"]})
    assert by_hash == found
    [film] = call("GET", "/browse", query={"path": FILM})["entries"]
    by_id = call("GET", "/stat", query={"id": film["id"]})
    by_path = call("GET", "/stat", query={"path": f"{FILM}/{film['name']}"})
    assert by_id == by_path and by_id["size"] == film["size"] == 1 << 20
    refused(404, "not-found", "GET", "/stat", params={"path": "__all__/None"})
    refused(404, "not-found", "GET", "/stat", params={"path": "__all__/../../etc/passwd"})
    refused(404, "not-found", "GET", "/nothing")
    refused(405, "method", "PUT", "/status")
    refused(400, "invalid", "GET", "/browse", params={"limit": "0"})
    refused(400, "invalid", "GET", "/browse", params={"cursor": "x"})
    refused(409, "conflict", "GET", "/resolve", params={"path": FILM})
    return film


def addresses(film):
    own = call("GET", "/resolve", query={"id": film["id"], "seconds": 60})
    theirs = call("GET", "/resolve", query={"id": film["id"], "by": "provider"})
    bodies = [requests.get(one["url"], timeout=30) for one in (own, theirs)]
    assert [body.status_code for body in bodies] == [200, 200], bodies
    ours, others = (hashlib.sha256(body.content).digest() for body in bodies)
    assert ours == others and len(bodies[0].content) == film["size"]
    part = requests.get(own["url"], headers={"Range": "bytes=5-9"}, timeout=30)
    assert part.content == bodies[0].content[5:10]
    other = own["url"].replace("First.2024", "Second")
    assert requests.get(other, timeout=30).status_code in (403, 404)
    soon = call("GET", "/resolve", query={"id": film["id"], "seconds": 1})
    until("it ends", lambda: requests.get(soon["url"], timeout=30).status_code == 410, 10)
    call("DELETE", "/tokens/{name}", name="signed-urls")
    assert requests.get(own["url"], timeout=30).status_code == 403, "its key is revoked"
    again = call("GET", "/resolve", query={"id": film["id"]})
    assert requests.get(again["url"], headers={"Range": "bytes=0-0"}, timeout=30).status_code == 206


def tokens():
    reader = call("POST", "/tokens", json={"name": "reader"})["token"]
    assert "reader" in [token["name"] for token in call("GET", "/tokens")["tokens"]]
    partial = call("POST", "/tokens", json={"name": "part", "root": "/__all__", "may": ["read", "manage"]})["token"]
    of = lambda token: {"Authorization": f"Bearer {token}"}
    ask = lambda method, path, token: requests.request(method, f"{SITE}{API}{path}", headers=of(token), timeout=30).status_code
    assert ask("GET", "/queue", reader) == 200
    assert ask("POST", "/library/accept", reader) == 403
    assert ask("GET", "/status", partial) == 403, "it sees a part of the library"
    assert ask("GET", "/browse", partial) == 200
    assert requests.get(f"{SITE}{API}/status", timeout=30).status_code == 401
    call("DELETE", "/tokens/{name}", name="reader")
    assert ask("GET", "/queue", reader) == 401


def the_queue(listener):
    added = call("POST", "/queue", json={"link": HASH, "category": "films"})
    assert added["hash"] == HASH
    job = lambda: {one["hash"]: one for one in call("GET", "/queue")["jobs"]}.get(HASH)
    until("it is complete", lambda: job()["step"] == "complete")
    until("the grab is told", lambda: listener.has("grab", lambda data: data["job"]["step"] == "complete"))
    until("the library is told", lambda: listener.has("library", lambda data: data["added"] >= 1))
    for step in ("stop", "start", "retry"):
        call("POST", "/queue/{hash}/" + step, hash=HASH)
    info = b"d6:lengthi1048576e4:name4:Film12:piece lengthi1048576e6:pieces20:" + b"x" * 20 + b"e"
    torrent = b"d4:info" + info + b"e"
    answer = session.post(
        f"{SITE}{API}/queue/torrent", data=torrent, headers={"Content-Type": "application/octet-stream"}, timeout=30
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["hash"] == hashlib.sha1(info).hexdigest(), answer.content
    answered.add(("POST", f"{API}/queue/torrent"))
    for one in (HASH, answer.json()["hash"]):
        call("DELETE", "/queue/{hash}", hash=one, query={"files": "true"})
    until("its end is told", lambda: listener.has("grab", lambda data: data["removed"]))
    refused(404, "not-found", "DELETE", f"/queue/{HASH}")
    refused(400, "invalid", "POST", "/queue", json={"link": "nothing"})
    refused(400, "invalid", "POST", "/queue", data="{", headers={"Content-Type": "application/json"})
    refused(415, "media-type", "POST", "/queue", data="x", headers={"Content-Type": "text/plain"})
    refused(413, "too-large", "POST", "/queue", json={"link": "x" * (1 << 17)})
    last = listener.heard[0]["id"]
    with session.get(f"{SITE}{API}/events", stream=True, headers={"Last-Event-ID": last}, timeout=30) as again:
        ids = (line[4:] for line in again.iter_lines(decode_unicode=True, chunk_size=1) if line.startswith("id: "))
        assert next(ids) == listener.heard[1]["id"], "what was missed comes first"


def upkeep():
    call("POST", "/library/accept")
    call("GET", "/repair")
    assert call("POST", "/repair/check", json={"path": FILM})["found"] == "well"
    call("POST", "/repair/run", json={})
    until("it is warm", lambda: (w := call("POST", "/cache/warm", json={"path": FILM}))["cached"] == w["total"])
    assert call("GET", "/cache")["files"]
    assert call("POST", "/cache/pin", json={"path": FILM})["files"] == 1
    assert call("POST", "/cache/unpin", json={"path": FILM})["files"] == 1
    until("it is empty", lambda: call("POST", "/cache/purge", json={})["left"] == 0)
    assert [one["name"] for one in call("GET", "/providers")["providers"]] == ["rd", "tb"]
    assert all(step["ok"] for step in call("POST", "/providers/{name}/test", name="rd")["steps"])
    assert call("POST", "/providers/resume", json={}) == {"resumed": []}
    recording = call("POST", "/traces", json={"path": FILM})["recording"]
    call("GET", "/traces/{recording}", recording=recording)
    call("DELETE", "/traces/{recording}", recording=recording)


def backends():
    """Another backend answers and is taken back; a rollout begins, waits and is stopped."""
    assert call("GET", "/backend")["active"] == "native"
    assert call("GET", "/backend/diff") == {"differences": []}
    assert call("POST", "/backend/switch", json={"backend": "fbrs"})["active"] == "fbrs"
    assert call("POST", "/backend/rollback")["active"] == "native"
    begun = call("POST", "/backend/rollout", json={"backend": "fbrs", "stages": "50%:1h,100%:1h"})
    assert begun["rollout"]["running"]["percent"] == 50, begun
    stopped = call("PATCH", "/backend/rollout", json={"step": "stop"})
    assert stopped["active"] == "native" and stopped["rollout"]["running"] is None, stopped


def moves(film):
    assert call("GET", "/moves") == {"moves": []}
    refused(404, "not-found", "POST", "/moves", json={"release": "First.2024", "to": "nobody"})
    refused(404, "not-found", "DELETE", "/moves/First.2024")
    hash = call("GET", "/search", query={"q": "first 2024"})["found"][0]["hash"]
    begun = call("POST", "/moves", json={"release": hash, "to": "tb"})
    assert begun["hash"] == hash, begun
    [listed] = call("GET", "/moves")["moves"]
    assert listed["hash"] == hash, listed
    call("DELETE", "/moves/{release}", release=hash)
    assert call("GET", "/stat", query={"id": film["id"]})["id"] == film["id"], "it is where it was"


def a_part_of_the_library(film):
    """A login with a root sees what is below it, and may ask nothing else."""
    make = lambda name, root: call("POST", "/tokens", json={"name": name, "root": root, "may": ["read", "manage"]})["token"]
    view, release = make("view", "/__all__"), make("release", "/__all__/First.2024/")

    def ask(token, path, method="GET", query=None, at=API):
        of = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{SITE}{at}{path}", params=query, headers=of, timeout=30)

    name = film["name"]
    listed = ask(view, "/browse").json()
    names = {line["name"] for line in listed["entries"]}
    assert listed["node"]["path"] == "" and {"First.2024", "Second"} <= names and "__all__" not in names, listed
    first = ask(view, "/browse", query={"limit": 1}).json()
    rest = ask(view, "/browse", query={"cursor": first["next"]}).json()
    assert first["entries"] + rest["entries"] == listed["entries"]
    [line] = ask(release, "/browse", query={"path": "/"}).json()["entries"]
    assert line == film, line
    node = ask(view, "/stat", query={"path": f"First.2024/{name}"}).json()
    assert (node["id"], node["path"]) == (film["id"], f"First.2024/{name}"), node
    found = ask(view, "/search", query={"q": "first"}).json()
    assert [one["path"] for one in found["found"]] == ["First.2024"], found
    playable = ask(release, "/resolve", query={"path": name}).json()
    assert playable["node"]["path"] == name, playable
    assert len(requests.get(playable["url"], timeout=30).content) == film["size"]

    ways_out = ["..", "../Second", "./../Second", "../First.2024", "../../__all__/Second", "/__all__/Second", "__all__/Second", "Second"]
    ways_out += ["..\\Second", "%2e%2e/Second", "%2E%2E%2FSecond", f"{name}/../../Second", f"{name}\0", f"/proc/self/root/{name}", "//..//Second"]
    for operation in ("/browse", "/stat", "/resolve"):
        for path in ways_out:
            answer = ask(release, operation, query={"path": path})
            assert answer.status_code == 404, (operation, path, answer.content)
            assert "__all__" not in answer.json()["detail"].replace(path, ""), "it names nothing above the root"
        for encoded in ("%2e%2e/Second", "%2e%2e%2fSecond", "%252e%252e%252fSecond", "..%00/Second", "%c0%ae%c0%ae/Second"):
            assert ask(release, f"{operation}?path={encoded}").status_code in (400, 404), encoded
        other = ask(release, operation, query={"id": film["id"]})
        assert other.status_code == 400, "an id does not tell whether it is below the root"
    for views in ("__all__", "..", "../../__all__", "/__all__", "", None):
        answer = ask(release, "/search", query={"view": views})
        assert answer.status_code == 404, (views, answer.content)
    assert ask(view, "/search", query={"view": "../rd"}).status_code == 404
    for method, path in sorted(operations()):
        if path.removeprefix(API) not in ("/browse", "/stat", "/search", "/resolve"):
            filled = re.sub("{[^}]*}", "First.2024", path)
            for token in (view, release):
                answer = ask(token, filled, method, at="")
                assert answer.status_code == 403, (method, filled, answer.status_code)
    for path in ("/mcp", API, f"{API}/", f"{API}/openapi.json", f"{API}/browse/", f"{API}/x/../status"):
        for method in ("GET", "POST"):
            assert ask(view, path, method, at="").status_code in (403, 404), path


def operations():
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def made_up():
    """Values that the document allows, and that mean nothing here."""
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == f"{API}/events":
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            case.headers = {**(case.headers or {}), **HEADERS}
            answer = case.call(base_url=SITE, timeout=60)
            assert answer.status_code not in (401, 403, 429), "it is let in"
            case.validate_response(answer, checks=CHECKS)

        check()


def a_client_that_is_generated():
    with tempfile.TemporaryDirectory() as made:
        text = Path(made) / "openapi.json"
        text.write_text(json.dumps(document))
        bin = Path(sys.executable).parent
        generated = subprocess.run(
            [bin / "openapi-python-client", "generate", "--path", text, "--output-path", f"{made}/client", "--meta", "none"],
            capture_output=True,
            text=True,
            env={"PATH": f"{bin}:/usr/bin:/bin"},
        )
        assert generated.returncode == 0, generated.stdout + generated.stderr
        sys.path.insert(0, made)
        from client import AuthenticatedClient
        from client.api.instance import get_status
        from client.api.library import browse

        known = AuthenticatedClient(base_url=SITE, token=TOKEN)
        assert get_status.sync(client=known).library.releases >= 2
        listed = browse.sync(client=known, path="__all__", limit=1000)
        assert "First.2024" in [line.name for line in listed.entries]
        told = asyncio.run(browse.asyncio_detailed(client=known, path="none"))
        assert told.status_code == 404 and told.parsed.type_.endswith(":not-found")


def main():
    validate(document)
    page = session.get(f"{SITE}{API}/", timeout=10)
    assert page.status_code == 200 and "Why a file or release cannot be read" in page.text
    steps = time.monotonic()
    listener = Listener()
    film = the_library()
    addresses(film)
    tokens()
    the_queue(listener)
    upkeep()
    backends()
    moves(film)
    a_part_of_the_library(film)
    assert answered == operations(), (operations() - answered, answered - operations())
    print(f"{len(answered)} operations in {time.monotonic() - steps:.1f} s")
    steps = time.monotonic()
    a_client_that_is_generated()
    print(f"a client in {time.monotonic() - steps:.1f} s")
    steps = time.monotonic()
    made_up()
    print(f"made-up values in {time.monotonic() - steps:.1f} s")


main()
