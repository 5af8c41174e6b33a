"""What runs workers, faked from its documentation: Docker's Engine API, Kubernetes' API, and `systemctl`.

None of the three runs where these tests do; each fake takes the documented requests, and refuses others.
"""

from __future__ import annotations

import json
import re
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answered = tuple[int, Any]
Answering = Callable[[str, str, dict[str, str], Any], Answered]  # method, path with query, headers, JSON


class Engine:
    """Docker Engine API v1.47: /version, /containers/json, create, inspect, start, stop, delete."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        config = {"Image": "shop:1", "Cmd": ["celery", "worker"], "Env": ["TOKEN=secret"], "Hostname": "abc",
                  "Labels": {"com.docker.compose.service": "worker"}}  # fmt: skip
        host = {"RestartPolicy": {"Name": "always"}, "PortBindings": {"80/tcp": [{"HostPort": "80"}]}}
        networks = {"Networks": {"shop_default": {"IPAddress": "172.18.0.2"}}}
        self.containers: dict[str, dict[str, Any]] = {
            "shop-worker-1": {"Config": config, "HostConfig": host, "NetworkSettings": networks, "State": "running"}
        }

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answered:
        self.asked.append(f"{method} {path}")
        parts = urlsplit(path)
        if parts.path == "/version":
            return 200, {"ApiVersion": "1.47"}
        if not parts.path.startswith("/v1.47/containers/"):
            return 400, {"message": "no such version"}
        rest, query = parts.path.removeprefix("/v1.47/containers/"), parse_qs(parts.query)
        if (method, rest) == ("GET", "json"):
            return 200, self._listed(json.loads(query["filters"][0])["label"][0])
        if (method, rest) == ("POST", "create"):
            name = query["name"][0]
            if name in self.containers:
                return 409, {"message": "Conflict. The container name is already in use"}
            self.containers[name] = {"Config": body, "HostConfig": body["HostConfig"], "State": "created"}
            return 201, {"Id": name, "Warnings": []}
        return self._one(method, rest)

    def _listed(self, label: str) -> list[dict[str, Any]]:
        key, _, value = label.partition("=")
        return [
            {"Id": name, "Names": [f"/{name}"], "State": each["State"], "Status": f"{each['State']} for a minute"}
            for name, each in self.containers.items()
            if (each["Config"].get("Labels") or {}).get(key) == value
        ]

    def _one(self, method: str, rest: str) -> Answered:
        name, _, verb = rest.partition("/")
        found = self.containers.get(name)
        if found is None:
            return 404, {"message": f"No such container: {name}"}
        if (method, verb) == ("GET", "json"):
            return 200, found
        if (method, verb) == ("DELETE", ""):
            del self.containers[name]
            return 204, None
        wanted = {"start": "running", "stop": "exited"}.get(verb)
        if method != "POST" or wanted is None:
            return 405, {"message": "no such verb"}
        same, found["State"] = found["State"] == wanted, wanted
        return (304 if same else 204), None


class Cluster:
    """Kubernetes: the Scale subresource of apps/v1, pods of core/v1, horizontalpodautoscalers of autoscaling/v2."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pods: dict[str, dict[str, Any]] = {}
        self.autoscalers: list[dict[str, Any]] = []
        self.version, self.replicas, self.token = 7, 0, "t0ken"
        self.forbids_autoscalers = False
        self.resize(2)

    def resize(self, replicas: int) -> None:
        """Do what the controller does: of ready pods the one with the lowest deletion cost leaves first."""
        self.version, self.replicas = self.version + 1, replicas
        while len(self.pods) < replicas:
            name = f"shop-6d4cf56db6-{'bcdfg'[self.version % 5]}{len(self.pods)}x2k"
            self.pods[name] = {"metadata": {"name": name}, "status": {"phase": "Running", "containerStatuses": []}}
        while len(self.pods) > replicas:
            del self.pods[min(self.pods, key=self._cost)]

    def _cost(self, name: str) -> int:
        notes = self.pods[name]["metadata"].get("annotations", {})
        return int(notes.get("controller.kubernetes.io/pod-deletion-cost", 0))

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answered:
        self.asked.append(f"{method} {path}")
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"kind": "Status", "message": "Unauthorized"}
        if method == "PATCH" and headers.get("Content-Type") != "application/merge-patch+json":
            return 415, {"kind": "Status", "message": "the body of the request was in an unknown format"}
        parts = urlsplit(path)
        if parts.path == "/apis/apps/v1/namespaces/prod/deployments/shop/scale":
            return self._scale(method, body)
        if parts.path == "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers":
            return (403, {"message": "forbidden"}) if self.forbids_autoscalers else (200, {"items": self.autoscalers})
        if (method, path) == ("GET", "/api/v1/namespaces/prod/pods?labelSelector=app%3Dshop"):
            return 200, {"items": list(self.pods.values())}
        named = re.fullmatch("/api/v1/namespaces/prod/pods/(.+)", parts.path)
        if method == "PATCH" and named and named[1] in self.pods:
            self.pods[named[1]]["metadata"]["annotations"] = body["metadata"]["annotations"]
            return 200, self.pods[named[1]]
        return 404, {"kind": "Status", "message": "the server could not find the requested resource"}

    def _scale(self, method: str, body: Any) -> Answered:
        if method == "PATCH":
            if body["metadata"]["resourceVersion"] != str(self.version):
                return 409, {"kind": "Status", "message": "the object has been modified"}
            self.resize(body["spec"]["replicas"])
        meta = {"name": "shop", "namespace": "prod", "resourceVersion": str(self.version)}
        status = {"replicas": len(self.pods), "selector": "app=shop"}
        return 200, {"kind": "Scale", "metadata": meta, "spec": {"replicas": self.replicas}, "status": status}


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def engine_at(socket: Path) -> Iterator[Engine]:
    """Run the fake of Docker on a Unix socket."""
    fake = Engine()
    with _running(_Unix(str(socket), _handler(fake.answer))):
        yield fake


@contextmanager
def cluster_with(folder: Path) -> Iterator[tuple[Cluster, str]]:
    """Run the fake of Kubernetes over TLS; yield it and its address. Its certificate is `ca.crt` in *folder*."""
    fake = Cluster()
    certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake.answer))
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(folder / "ca.crt", folder / "ca.key")
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    with _running(server):
        yield fake, f"https://127.0.0.1:{server.server_port}"


def certificate(folder: Path) -> None:
    """Write a certificate for this machine, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(tz=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = made.add_extension(here, critical=True).sign(key, hashes.SHA256())
    (folder / "ca.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.key").write_bytes(key.private_bytes(*plain))


def fake_systemctl(folder: Path) -> Path:
    """Write a `systemctl` that keeps its units as files beside it, and answers as systemctl(1) says."""
    (folder / "units").mkdir()
    program = folder / "systemctl"
    program.write_text(f"""#!/bin/sh
cd {folder}
echo "$*" >> asked
verb=
for word; do case "$word" in start|stop|show) verb=$word; break;; esac; done
case "$*" in *shop-worker@*) ;; *) echo "Unit not found." >&2; exit 5;; esac
first=yes
for unit; do case "$unit" in *.service)
  case $verb in
    start) touch "units/$unit";;
    stop) rm -f "units/$unit";;
    show) [ $first ] || echo; first=
      if [ -e "units/$unit" ]; then a=active s=running; else a=inactive s=dead; fi
      printf 'Id=%s\\nLoadState=loaded\\nActiveState=%s\\nSubState=%s\\nResult=success\\n' "$unit" $a $s;;
  esac;; esac; done
""")
    program.chmod(0o755)
    return program


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answer: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answer(self.command, self.path, dict(self.headers), json.loads(raw) if raw else None)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PATCH = do_DELETE = do_GET

        def address_string(self) -> str:
            return "somebody"  # a Unix socket has no address

        def log_message(self, *_: object) -> None: ...

    return Handler
