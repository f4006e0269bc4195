"""This machine as `berth doctor` sees it, and its advice carried out as printed: sudo is real here."""
import json
import os
import subprocess


class Machine:
    def __init__(self):
        self.environment = dict(os.environ)

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def doctor(self, *arguments):
        done = self.run("berth", "doctor", "--json", *arguments, check=False)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def check(self, name):
        (finding,) = self.doctor(name)["checks"]
        return finding

    def carry_out(self, command):
        if command.startswith("export "):
            name, _, value = command.split()[1].partition("=")
            self.environment[name] = value
        else:
            self.run("sh", "-e", "-c", command)
