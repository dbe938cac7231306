#!/usr/bin/env python3
"""Removes one guard at a time and runs the tests, of which at least one has to fail.

    scripts/mutations.py [TEXT …]     the mutations of engine/mutations.toml whose guard or file holds one of the texts

Works on a copy of the committed tree below the target directory, where each mutation compiles the changed crate again:
a minute each on two cores. Exits with 1 if a guard could be removed unnoticed, with 2 if a row does not fit the code.
"""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutations"
TREE = TARGET / "tree"
# A mutated loop may never end.
SECONDS_MAX = 600
# As `make test-pure` runs them, with debug assertions. The quick tests first: most mutations need no more.
STEPS = [["-p", "assay-kernels", "--lib"], ["-p", "assay-engine", "--lib", "--tests"]]


def copy_tree():
    """The committed files; what does not differ keeps its time, and so its build products."""
    TREE.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, names):
        content = (ROOT / name).read_bytes()
        copy = TREE / name
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)


def failures():
    """Names of failed tests; None if the code did not compile or the tests ran too long."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "build"), "RUSTFLAGS": "-Awarnings"}
    for step in STEPS:
        command = ["cargo", "test", "--locked", "--no-fail-fast", *step]
        try:
            run = subprocess.run(
                command, cwd=TREE, env=environment, capture_output=True, text=True, errors="replace", timeout=SECONDS_MAX
            )
        except subprocess.TimeoutExpired:
            return ["(a test that does not end)"]
        if run.returncode != 0:
            if "could not compile" in run.stderr:
                sys.stderr.write(run.stderr[-3000:])
                return None
            return re.findall(r"^test (\S+).* \.\.\. FAILED$", run.stdout, re.M) or ["(a test that crashes)"]
    return []


def main():
    mutations = tomllib.loads((ROOT / "engine/mutations.toml").read_text())["mutation"]
    wanted = sys.argv[1:]
    if wanted:
        mutations = [m for m in mutations if any(text in m["guard"] or text in m["file"] for text in wanted)]
    if not mutations:
        sys.exit("mutations: no such guard")
    for m in mutations:
        if (ROOT / m["file"]).read_text().count(m["from"]) != 1:
            print(f"mutations: {m['file']}: not there exactly once: {m['from']}", file=sys.stderr)
            sys.exit(2)
    copy_tree()
    if failures() != []:
        sys.exit("mutations: the tests fail without any mutation")
    missed = 0
    for m in mutations:
        path = TREE / m["file"]
        original = path.read_text()
        path.write_text(original.replace(m["from"], m["to"]))
        try:
            failed = failures()
        finally:
            path.write_text(original)
        if failed is None:
            print(f"mutations: {m['file']}: does not compile: {m['to']}", file=sys.stderr)
            sys.exit(2)
        missed += not failed
        shown = f"{failed[0]}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "") if failed else "NOBODY"
        print(f"{m['guard']}\n    noticed by {shown}", flush=True)
    print(f"{len(mutations)} guards removed, {missed} unnoticed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
