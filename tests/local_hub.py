"""A hub of models on 127.0.0.1 for tests: as much of the hub's protocol as its client speaks, with failures on demand.

Large files go the way of git-lfs (batch, PUT in one or several parts, verify) and come from another host name, as from a CDN.
"""

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from local_server import Cut, Status, serving

WRITER, READER = "hf_writer", "hf_reader"


@dataclass(frozen=True)
class Wrong:
    """The right number of bytes, one of them changed."""


@dataclass
class Repository:
    """Its versions, oldest first: names to (bytes, whether they are large)."""

    is_private: bool = False
    is_gated: bool = False
    versions: list = field(default_factory=lambda: [{}])
    messages: list = field(default_factory=lambda: ["initial commit"])

    @property
    def commits(self):
        return [hashlib.sha1(f"{number}".encode()).hexdigest() for number in range(len(self.versions))]

    @property
    def files(self):
        return {name: data for name, (data, _) in self.versions[-1].items()}

    def put(self, files):
        """A version as somebody else would make it."""
        named = {name: (data, name.endswith("safetensors")) for name, data in files.items()}
        self.versions.append({**self.versions[-1], **named})
        self.messages.append("put")

    def version(self, revision):
        if revision == "main":
            return self.commits[-1], self.versions[-1]
        if revision in self.commits:
            return revision, self.versions[self.commits.index(revision)]
        return None


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def missing(what):
    return Status(404, {"X-Error-Code": what, "X-Error-Message": what})


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST", "create", r"/api/repos/create"),
    ("POST", "yaml", r"/api/validate-yaml"),
    ("POST", "preupload", rf"/api/models/{NAME}/preupload/(?P<revision>[^/]+)"),
    ("POST", "commit", rf"/api/models/{NAME}/commit/(?P<revision>[^/]+)"),
    ("GET", "info", rf"/api/models/{NAME}(/revision/(?P<revision>[^/]+))?"),
    ("POST", "batch", rf"/{NAME}\.git/info/lfs/objects/batch"),
    ("PUT", "put", r"/store/(?P<oid>\w+)(/(?P<part>\d+))?"),
    ("POST", "complete", r"/store/(?P<oid>\w+)"),
    ("POST", "verify", r"/verify"),
    ("HEAD", "head", rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    ("GET", "get", rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    ("GET", "cdn", r"/cdn/(?P<oid>\w+)"),
]


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def route(self):
        path = unquote(urlsplit(self.path).path)
        self.body = self.received()
        for method, name, pattern in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == self.command and found:
                self.server.requests.append((name, path, dict(self.headers)))
                faults = self.server.faults.get(name, [])
                self.fault = faults.pop(0) if faults else None
                if isinstance(self.fault, Status):
                    return self.status(self.fault)
                return getattr(self, name)(**{key: value for key, value in found.groupdict().items() if value})
        self.server.requests.append(("unknown", path, dict(self.headers)))
        return self.status(Status(404))

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.route()

    def do_PUT(self):
        self.route()

    def do_HEAD(self):
        self.route()

    def received(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def status(self, status):
        self.send(
            status.code, json.dumps({"error": status.headers.get("X-Error-Message", "no")}).encode(), status.headers
        )

    def send(self, code, body=b"", headers=()):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: self.fault.after] if isinstance(self.fault, Cut) else body)
        self.close_connection = self.close_connection or isinstance(self.fault, Cut)

    def json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @property
    def token(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def may_write(self):
        if self.token not in (WRITER, READER):
            self.status(Status(401, {"X-Error-Message": "Invalid username or password."}))
        elif self.token == READER:
            self.status(Status(403, {"X-Error-Message": "no right"}))
        return self.token == WRITER

    def seen(self, name):
        """The repository, where whoever asks may know of it; else the answer is sent."""
        found = self.server.repositories.get(name)
        is_known = self.token in (WRITER, READER)
        if self.token and not is_known:
            self.status(Status(401, {"X-Error-Message": "Invalid credentials in Authorization header"}))
        elif found is None or (found.is_private and not is_known):
            self.status(missing("RepoNotFound") if is_known else Status(401, {"X-Error-Code": "RepoNotFound"}))
        elif found.is_gated:
            self.status(Status(403, {"X-Error-Code": "GatedRepo"}))
        else:
            return found
        return None

    def create(self):
        asked = json.loads(self.body)
        if not self.may_write():
            return None
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repositories:
            there = {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}
            return self.send(409, json.dumps(there).encode())
        is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repositories[name] = Repository(is_private)
        return self.json({"url": f"{self.server.url}/{name}", "name": name})

    def yaml(self):
        wrong = [{"message": "license is wrong"}] if b"license: wrong" in self.body else []
        body = json.dumps({"errors": wrong, "warnings": []}).encode()
        self.send(400 if wrong else 200, body)

    def info(self, name, revision="main"):
        if (found := self.seen(name)) is None:
            return None
        if (version := found.version(revision)) is None:
            return self.status(missing("RevisionNotFound"))
        files = [self.sibling(path, *version[1][path]) for path in version[1]]
        return self.json({"id": name, "sha": version[0], "private": found.is_private, "siblings": files})

    def sibling(self, path, data, is_large):
        facts = {"rfilename": path, "size": len(data), "blobId": blob(data)}
        if not is_large:
            return facts
        return facts | {"lfs": {"size": len(data), "sha256": sha256(data), "pointerSize": 130}}

    def preupload(self, name, revision):
        if not self.may_write():
            return
        there = self.server.repositories[name].versions[-1]
        files = []
        for file in json.loads(self.body)["files"]:
            is_large = file["path"].endswith(".safetensors")
            oid = (sha256 if is_large else blob)(there[file["path"]][0]) if file["path"] in there else None
            mode = "lfs" if is_large else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.json({"files": files})

    def batch(self, name):
        asked = json.loads(self.body)
        self.json({"transfer": "basic", "objects": [self.upload(each) for each in asked["objects"]]})

    def upload(self, each):
        if each["oid"] in self.server.store:
            return each
        href, header, chunk = f"{self.server.url}/store/{each['oid']}", {}, self.server.chunk
        if chunk:
            n = -(-each["size"] // chunk)
            header = {"chunk_size": str(chunk)} | {f"{part:05}": f"{href}/{part}" for part in range(1, n + 1)}
        verify = {"href": f"{self.server.url}/verify", "header": {}}
        return each | {"actions": {"upload": {"href": href, "header": header}, "verify": verify}}

    def put(self, oid, part=None):
        if part is None:
            if sha256(self.body) == oid:
                self.server.store[oid] = self.body
        else:
            self.server.parts.setdefault(oid, {})[int(part)] = self.body
        self.send(200, b"", {"ETag": f'"{sha256(self.body)[:8]}"'})

    def complete(self, oid):
        parts = self.server.parts[oid]
        data = b"".join(parts[each["partNumber"]] for each in json.loads(self.body)["parts"])
        if sha256(data) == oid:
            self.server.store[oid] = data
        self.json({})

    def verify(self):
        asked = json.loads(self.body)
        is_there = len(self.server.store.get(asked["oid"], b"")) == asked["size"]
        self.send(200 if is_there else 422)

    def commit(self, name, revision):
        if not self.may_write():
            return
        found = self.server.repositories[name]
        files, message = dict(found.versions[-1]), ""
        for line in self.body.splitlines():
            key, value = (json.loads(line)[each] for each in ("key", "value"))
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = (base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                files[value["path"]] = (self.server.store[value["oid"]], True)
            elif key == "deletedFile":
                del files[value["path"]]
        found.versions.append(files)
        found.messages.append(message)
        commit = found.commits[-1]
        self.json(
            {"commitUrl": f"{self.server.url}/{name}/commit/{commit}", "commitOid": commit, "pullRequestUrl": None}
        )

    def head(self, name, revision, path):
        if (found := self.seen(name)) is None:
            return None
        commit, files = found.version(revision) or (None, {})
        if path not in files:
            return self.status(missing("EntryNotFound" if commit else "RevisionNotFound"))
        data, is_large = files[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob(data)}"'}
        if not is_large:
            return self.send(200, self.changed(data), headers)
        self.server.store[sha256(data)] = data
        headers |= {"X-Linked-ETag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))}
        # another name of this machine is another host, which must not learn the token
        elsewhere = self.server.url.replace("127.0.0.1", "localhost")
        return self.send(302, b"", headers | {"Location": f"{elsewhere}/cdn/{sha256(data)}"})

    get = head

    def cdn(self, oid):
        data = self.changed(self.server.store[oid])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not asked:
            return self.send(200, data, {"ETag": f'"{oid}"'})
        start = int(asked[1])
        text = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self.send(206, data[start:], {"Content-Range": text, "ETag": f'"{oid}"'})

    def changed(self, data):
        return data[:-1] + bytes([data[-1] ^ 1]) if isinstance(self.fault, Wrong) else data


@contextmanager
def hub(chunk=0):
    """A hub without repositories; `faults` of it are answers to the next requests, by route."""
    with serving(HubHandler, repositories={}, store={}, parts={}, faults={}, chunk=chunk) as server:
        yield server


def routes(server):
    """The routes that were asked for, in order."""
    return [name for name, _, _ in server.requests]
