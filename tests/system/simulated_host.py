"""A machine of a plain user's own making, to break for real: a user namespace with an administrator (root) and a plain user
(joe, 1000) in it, an /etc, run-time directories and a network of its own, setuid newuidmap and newgidmap. Nothing outside changes."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from engine import BUILD, DOCKER

COPIED = ("passwd", "group", "os-release", "nsswitch.conf", "login.defs", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives")
# $1 the directory. The tmpfs belongs to the namespace, so setuid counts on it. The last line says that all is done.
PREPARE = r"""
set -e
mount -t tmpfs -o mode=755 none "$1"
cd "$1"
mkdir -m 755 etc etc/sysctl.d run run/user home bin files
for name in %s; do [ ! -e /etc/$name ] || cp -r --no-preserve=ownership /etc/$name etc/; done
sed -i -E '/^joe:|:1000:/d' etc/passwd etc/group
echo 'joe:x:1000:1000::/home/joe:/bin/sh' >>etc/passwd
echo 'joe:x:1000:' >>etc/group
printf 'root:*:19000:0:99999:7:::\njoe:*:19000:0:99999:7:::\n' >etc/shadow
: >etc/gshadow
for file in subuid subgid; do echo joe:2000:62000 >etc/$file; done
echo nameserver 192.0.2.53 >etc/resolv.conf
printf '#!/bin/sh\nexec "$@"\n' >bin/sudo
chmod 755 bin/sudo
for name in newuidmap newgidmap; do
    cp "$(command -v $name)" files/$name && chown 0:0 files/$name && chmod 4755 files/$name
    mount --bind files/$name "$(command -v $name)"
done
install -d -o 1000 -g 1000 -m 700 run/user/1000 home/joe
mount --bind etc /etc
if [ -d /run/user ]; then mount --rbind run/user /run/user; else mount --rbind run /run; fi
mount --bind home /home
ip link set lo up
ip link add uplink type veth peer name outside
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up; ip link set outside up
ip route add default via 192.0.2.254
echo 80 >/proc/sys/net/ipv4/ip_unprivileged_port_start
echo 0 2000 >/proc/sys/net/ipv4/ping_group_range
echo ready
exec sleep infinity
""" % " ".join(COPIED)


class SimulatedHost:
    def __init__(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="bt-host-"))
        self.place.chmod(0o755)
        self.process = subprocess.Popen(["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net", "bash", "-c", PREPARE, "host", str(self.place)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.problem = "" if self.process.stdout.readline() == "ready\n" else self.process.communicate()[1].strip() or "no reason given"
        path = f"{self.place}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if DOCKER and not shutil.which("docker"):
            path += f":{os.path.dirname(DOCKER)}"
        # DOCKER_HOST and the like of the caller do not matter here.
        self.environment = {"PATH": path, "HOME": "/home/joe", "USER": "joe", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": "/run/user/1000"}

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def enter(self, *command, environment=None):
        return subprocess.run(["nsenter", "--target", str(self.process.pid), "--user", "--mount", "--net", "--", *command], env=environment or self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)

    def root(self, script):
        """Runs a shell script as the administrator."""
        done = self.enter("sh", "-e", "-c", script)
        assert done.returncode == 0, f"{script}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def user(self, *command, confine=()):
        return self.enter("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "--inh-caps=-all", *confine, *command)

    def doctor(self, *arguments, confine=()):
        """The answer of `berth doctor --json` as the plain user."""
        done = self.user(str(BUILD / "berth"), "doctor", "--json", *arguments, confine=confine)
        assert done.returncode in (0, 1), f"doctor: exit {done.returncode}\n{done.stdout}{done.stderr}"
        answer = json.loads(done.stdout)
        assert done.returncode == (1 if answer["state"] == "broken" else 0), "the exit status says whether anything is broken"
        return answer

    def check(self, name, **options):
        (finding,) = self.doctor(name, **options)["checks"]
        assert finding["name"] == name
        return finding

    def carry_out(self, command):
        """A command as doctor printed it: an administrator's, one for the user's own shell, or one of the user's."""
        if "sudo " in command:
            return self.root(command)
        if command.startswith(("export ", "unset ")):
            for word in command.split()[1:]:
                name, _, value = word.partition("=")
                self.environment.pop(name, None)
                if value:
                    self.environment[name] = value
            return ""
        done = self.user("sh", "-e", "-c", command)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
