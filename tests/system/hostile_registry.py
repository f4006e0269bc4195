"""A registry on loopback that answers what a test makes up: wrong types, sizes, digests and paces."""
import hashlib
import http.server
import json
import threading

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(data, media_type, **changes):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **changes}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        registry = self.server.registry
        path = self.path.partition("?")[0]
        registry.asked.append(path)
        # As data, or as a function that writes the reply by itself.
        found = registry.replies.get(path)
        try:
            if path == "/v2/":
                self.answer(200, "application/json", b"{}")
            elif found is None:
                self.answer(404, "application/json", b'{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}')
            elif callable(found):
                found(self)
                self.close_connection = True
            else:
                self.answer(200, *found)
        except OSError:
            registry.left.set()
            self.close_connection = True

    do_HEAD = do_GET

    def answer(self, status, content_type, data, **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def endless(self, content_type, piece, **headers):
        """A reply without an end, in pieces; raises when the client has gone."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        while not self.server.registry.stopped.is_set():
            self.wfile.write(piece)
            if len(piece) < 100:
                self.wfile.flush()
                self.server.registry.stopped.wait(0.05)


class HostileRegistry:
    def __init__(self):
        self.replies = {}
        self.asked = []
        self.left = threading.Event()  # a client closed in the middle of a reply
        self.stopped = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.registry = self
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def blob(self, name, data, reply=None):
        self.replies[f"/v2/{name}/blobs/{digest_of(data)}"] = reply or ("application/octet-stream", data)

    def manifest(self, name, document, content_type=MANIFEST, tag="latest"):
        """Publishes a manifest (an object, or bytes) by tag and by digest; its digest."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        for reference in (tag, digest_of(data)):
            self.replies[f"/v2/{name}/manifests/{reference}"] = (content_type, data)
        return digest_of(data)

    def image(self, name, layers, changes=None):
        """Publishes an image of layers as they shall be sent, with diff ids of their plain forms: [(sent, plain)]. `changes` replace
        members of the manifest; the reference to pull."""
        document = json.dumps({
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(plain) for _, plain in layers]}}).encode()
        self.blob(name, document)
        for sent, _ in layers:
            self.blob(name, sent)
        self.manifest(name, {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(document, CONFIG),
                             "layers": [descriptor(sent, LAYER) for sent, _ in layers], **(changes or {})})
        return f"{self.address}/{name}:latest"
