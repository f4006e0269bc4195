"""Randomly damaged requests to the Engine API, from a seed: the routes of docs/compatibility.md with the parameters and bodies that
clients send, of which some bytes, values, headers or parts of the request line are then changed."""
import json
import pathlib
import re

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "docs/compatibility.md").read_text()
ROUTES = [(method, route) for method, route in re.findall(r"^\| ([A-Z]+) \| (/\S+) \|", TEXT, re.MULTILINE) if "*" not in route and "any" not in route]
IDENTITIES = ["damaged", "damaged-run", "busybox", "busybox:latest", "bridge", "none", "volume", "none-such", "a" * 64, "%00", "a%2Fb", "x" * 5000, "..", "-", "é"]
PARAMETERS = {
    "all": "1", "limit": "3", "size": "1", "filters": '{"label":["a=b"],"name":{"x":true}}', "name": "fresh", "platform": "linux/amd64", "v": "1",
    "force": "1", "link": "0", "t": "0", "signal": "TERM", "condition": "not-running", "logs": "1", "stream": "0", "stdin": "1", "stdout": "1",
    "stderr": "1", "detachKeys": "ctrl-p,ctrl-q", "h": "24", "w": "80", "follow": "0", "since": "1", "until": "2", "tail": "10", "timestamps": "1",
    "details": "1", "ps_args": "-ef", "one-shot": "1", "path": "/etc", "noOverwriteDirNonDir": "1", "copyUIDGID": "1", "container": "damaged",
    "repo": "made", "tag": "latest", "comment": "c", "author": "a", "changes": "ENV A=B", "pause": "0", "digests": "1", "shared-size": "1",
    "fromImage": "127.0.0.1:1/none", "fromSrc": "-", "message": "m", "noprune": "1", "names": "busybox", "quiet": "1", "term": "x", "type": "image",
    "verbose": "1", "scope": "local", "version": "1", "dockerfile": "D", "remote": "x", "checkpoint": "c"}
BODIES = {
    "/containers/create": {
        "Image": "busybox", "Cmd": ["true"], "Env": ["A=B"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000},
        "HostConfig": {"Binds": ["volume:/x:ro"], "Tmpfs": {"/t": "size=1m"}, "NetworkMode": "none", "PortBindings": {"80/tcp": [{"HostPort": "0"}]},
                       "RestartPolicy": {"Name": "no"}, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "LogConfig": {"Type": "json-file", "Config": {}},
                       "Mounts": [{"Type": "tmpfs", "Target": "/w"}], "Devices": [{"PathOnHost": "/dev/null"}], "SecurityOpt": ["no-new-privileges"],
                       "ShmSize": 65536, "Memory": 8000000, "Sysctls": {"net.ipv4.ip_forward": "0"}, "CapAdd": ["CHOWN"], "ExtraHosts": ["a:1.2.3.4"]},
        "NetworkingConfig": {"EndpointsConfig": {"none": {"Aliases": ["a"]}}}},
    "/containers/{id}/exec": {"Cmd": ["true"], "AttachStdout": True, "Env": ["A=B"], "User": "0", "WorkingDir": "/", "ConsoleSize": [24, 80]},
    "/containers/{id}/update": {"Memory": 8000000, "CpuShares": 2, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
    "/exec/{id}/start": {"Detach": True, "Tty": False},
    "/networks/create": {"Name": "net", "Driver": "bridge", "Internal": True, "IPAM": {"Config": [{"Subnet": "10.7.0.0/24", "Gateway": "10.7.0.1"}]},
                         "Options": {"a": "b"}, "Labels": {"a": "b"}},
    "/networks/{id}/connect": {"Container": "damaged", "EndpointConfig": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.7.0.9"}}},
    "/networks/{id}/disconnect": {"Container": "damaged", "Force": True},
    "/volumes/create": {"Name": "volume2", "Driver": "local", "DriverOpts": {}, "Labels": {"a": "b"}},
    "/commit": {"Cmd": ["x"], "Labels": {"a": "b"}},
    "/auth": {"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"}}
WORDS = ['"', "{", "[", "]", "null", "-1", "1e999", "18446744073709551615", "true", "\\u0000", "\\ud800", "\xff", "%", "\r\n", "../", "9223372036854775808",
         ":", "@", "0x", "{}", "[]", "\0", "%00", "%zz", "&", "=", "+", "/", "//", " ", "2147483648", "-9223372036854775809", "0.5", "é", "a" * 3000, "*", "\\"]
VALUES = [None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -2**63, 1.5, 1e300, "", "a", "\0", "../../x", "/", "a:b:c:d", "é", "x" * 5000, [], {}, [[]], [None], {"": None},
          ["a", 1], {"a": {"a": {}}}, "%s%n", "-", "80/tcp", "99999/udp", "0-65535", "10.0.0.0/33", "::/0", "container:damaged", "service:x"]
HEADERS = [("Content-Type", "text/plain"), ("Content-Type", "application/json; charset=\xff"), ("Content-Type", ""), ("X-Registry-Auth", "!!"), ("X-Registry-Auth", "e30="),
           ("X-Registry-Auth", "WzFd"), ("X-Registry-Config", "bnVsbA=="), ("Expect", "100-continue"), ("Expect", "nonsense"), ("Upgrade", "tcp"),
           ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Connection", "close"), ("Connection", "keep-alive, \xff"), ("Transfer-Encoding", "chunked"),
           ("Transfer-Encoding", "gzip"), ("Content-Length", "-1"), ("Content-Length", "1e3"), ("Content-Length", "99999999999999999999"), ("Content-Length", "5"),
           ("Host", "a\tb"), ("Host", ""), ("User-Agent", "\x01"), ("Accept-Encoding", "*;q=0"), ("Range", "bytes=-1"), ("X" * 9000, "y"), ("Cookie", "c" * 70000),
           ("", "empty"), ("bad name", "x"), ("A\0", "b")]


def damaged_text(text, random):
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(text))
        kind = random.randrange(5)
        if kind == 0:
            text = text[:at] + random.choice(WORDS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + random.randint(1, 12):]
        elif kind == 2:
            text = text[:at] + chr(random.randrange(256)) + text[at + 1:]
        elif kind == 3:
            text = text[:at] + text[:at][-random.randint(1, 40):] + text[at:]
        else:
            text = random.choice(WORDS) if random.random() < 0.3 else text[:at]
    return text


def damaged_value(value, random):
    """A copy of a JSON document in which one value, somewhere, is another."""
    if isinstance(value, (dict, list)) and value and random.random() < 0.85:
        changed = dict(value) if isinstance(value, dict) else list(value)
        key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
        changed[key] = damaged_value(value[key], random)
        if isinstance(value, dict) and random.random() < 0.1:
            changed[damaged_text(key, random)] = changed.pop(key)
        return changed
    if isinstance(value, str) and random.random() < 0.6:
        return damaged_text(value, random)
    return random.choice(VALUES)


def encoded(text, random):
    """A parameter's value: mostly encoded as clients do, sometimes raw."""
    if random.random() < 0.15:
        return text.replace(" ", "+").replace("\r", "").replace("\n", "")
    return "".join(letter if letter.isalnum() else "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass")) for letter in text)


def damaged_request(random):
    """(what is damaged, route, bytes of the whole request): one to three of body, query, headers, path and request line."""
    method, route = random.choice(ROUTES)
    path = re.sub(r"\{\w+\}", lambda _: random.choice(IDENTITIES), route)
    damages = random.sample(["body", "query", "headers", "path", "line"], random.choice([1, 1, 2, 3]))
    if "path" in damages:
        path = damaged_text(path, random).replace(" ", "%20").replace("\r", "").replace("\n", "") or "/"
    parameters = [(key, PARAMETERS[key]) for key in random.sample(sorted(PARAMETERS), random.randint(0, 5))]
    if "query" in damages:
        parameters = [(damaged_text(key, random) if random.random() < 0.1 else key, damaged_text(value, random)) for key, value in parameters]
    query = "&".join(encoded(key, random) + "=" + encoded(value, random) for key, value in parameters)
    body = b""
    if method in ("POST", "PUT"):
        document = BODIES.get(route, {})
        if "body" in damages and random.random() < 0.7:
            document = damaged_value(document, random)
        body = json.dumps(document).encode()
        if "body" in damages and random.random() < 0.4:
            body = damaged_text(body.decode(), random).encode("utf-8" if random.random() < 0.5 else "latin-1", "replace")
    headers = [("Host", "docker"), ("Content-Type", "application/json")] + ([("Content-Length", str(len(body)))] if body else [])
    if "headers" in damages:
        headers += random.sample(HEADERS, random.randint(1, 3))
        random.shuffle(headers)
    version = random.choice(["/v1.51", "/v1.44", "/v1.24", "/v1.41", "", "/v1.99", "/v0", "/v", "/v1.51/v1.51"] if "line" in damages else ["/v1.51", "/v1.24", "/v1.43", ""])
    line = f"{method} {version}{path}{'?' + query if query else ''} HTTP/1.1"
    if "line" in damages and random.random() < 0.5:
        line = damaged_text(line, random).replace("\r\n", "")
    head = line + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    return damages, route, head.encode("utf-8", "replace") + body
