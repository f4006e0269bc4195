#!/usr/bin/env python3
"""A source file above 500 lines needs a reason (a line "Size: why" in its opening comment); above 800 it is split.
A test file above 400 lines is split."""
import pathlib
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
tracked = subprocess.run(["git", "-C", str(root), "-c", f"safe.directory={root}", "ls-files", "*.cc", "*.h", "*.py"],
                         capture_output=True, text=True)
names = tracked.stdout.split() or [str(p.relative_to(root)) for p in root.glob("**/*.cc") if "build" not in p.parts[0:1]]
failures = []
for name in names:
    path = root / name
    if not path.exists():
        continue
    lines = path.read_text().splitlines()
    limit = 400 if name.startswith("tests/") else 500
    reason = any(line.startswith("// Size: ") for line in lines[:20])
    if len(lines) > 800 or (len(lines) > limit and not (reason and limit == 500)):
        failures.append(f"{name}: {len(lines)} lines, the limit is {limit}")
print("\n".join(failures) or f"sizes: {len(names)} files are within their limits")
sys.exit(1 if failures else 0)
