#!/usr/bin/env python3
"""Reads meson's testlog JSON lines; prints "PASSED FAILED SKIPPED|skip reason|…" counting single GoogleTest cases."""
import json
import pathlib
import re
import sys

passed = failed = skipped = 0
reasons = []
seen = set()
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    if not path.exists() or path in seen:
        continue
    seen.add(path)
    for line in path.read_text().splitlines():
        test = json.loads(line)
        out = test.get("stdout", "") or ""
        ok = len(re.findall(r"^\[       OK \]", out, re.M))
        bad = len(set(re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w./]+)", out, re.M)))
        skips = re.findall(r"^.*?: Skipped\n(.*)$", out, re.M)
        skip_count = len(re.findall(r"^\[  SKIPPED \] [\w./]+ \(", out, re.M))
        if ok + bad + skip_count == 0:  # not a GoogleTest program
            result = test["result"]
            passed += result == "OK"
            skipped += result == "SKIP"
            failed += result not in ("OK", "SKIP")
            if result == "SKIP":
                reasons.append(f"skipped: {test['name']}: {out.strip()[:200]}")
            continue
        passed, failed, skipped = passed + ok, failed + bad, skipped + skip_count
        if test["result"] not in ("OK", "SKIP") and bad == 0:
            failed += 1  # crashed
        reasons += [f"skipped: {test['name']}: {text.strip()[:200]}" for text in dict.fromkeys(skips)]
print(f"{passed} {failed} {skipped}|" + "|".join(reasons) + ("|" if reasons else ""))
