#!/usr/bin/env python3
"""Each #include "..." may only name a folder that docs/layers.txt allows to the folder of the file."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
allowed = {}
for line in (root / "docs/layers.txt").read_text().splitlines():
    if line and not line.startswith("#"):
        folder, _, lower = line.partition(":")
        allowed[folder.strip()] = {folder.strip(), *lower.split()}


def folder_of(include):
    """The folder an include names: "linux/x.h" is src/linux, "net/x.h" is net."""
    for prefix in ("src/", ""):
        for folder in allowed:
            if folder.startswith(prefix) and include.startswith(folder.removeprefix("src/") + "/"):
                return folder
    return None


failures = []
for folder, lower in allowed.items():
    for path in sorted((root / folder).rglob("*.[ch]*")):
        if path.suffix not in (".cc", ".h"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'#include "([^"]+)"', line)
            if not found:
                continue
            target = folder_of(found[1])
            if target is None or target not in lower:
                failures.append(f"{path.relative_to(root)}:{number}: {folder} may not include {found[1]}")
print("\n".join(failures) or f"layers: {len(allowed)} folders keep to docs/layers.txt")
sys.exit(1 if failures else 0)
