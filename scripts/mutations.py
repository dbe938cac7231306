#!/usr/bin/env python3
"""Removes one guard at a time and runs the tests, of which at least one has to fail.

    scripts/mutations.py [TEXT …]     the mutations of engine/mutations.toml whose guard or file holds one of the texts
    scripts/mutations.py --check      only whether every row fits the code

Works on a copy of the tracked files below the target directory, where each mutation compiles the changed crate again: half
a minute to a minute each on two cores. Exits with 1 if a guard could be removed unnoticed, with 2 if a row does not fit
the code or its tests do not end, which shows nothing.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutations"
TREE = TARGET / "tree"
# A mutated loop may never end. Compiling counts.
SECONDS_MAX = 600
# As `make test-pure` runs them, with debug assertions. The quick tests first: most mutations need no more.
STEPS = [["-p", "assay-kernels", "--lib"], ["-p", "assay-engine", "--lib", "--tests"]]


def copy_tree():
    """The tracked files; what does not differ keeps its time, and so its build products."""
    TREE.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # A tracked file may be gone from the working tree.
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for path in TREE.rglob("*"):
        if path.is_file() and str(path.relative_to(TREE)) not in names:
            path.unlink()
    for name in names:
        content = (ROOT / name).read_bytes()
        copy = TREE / name
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)


def failures():
    """Names of failed tests; None if that is not known, for a reason that is said."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "build"), "RUSTFLAGS": "-Awarnings"}
    for step in STEPS:
        command = ["cargo", "test", "--locked", "--no-fail-fast", *step]
        # A group of its own, so that the tests end with cargo.
        run = subprocess.Popen(
            command, cwd=TREE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", start_new_session=True,
        )
        try:
            output, errors = run.communicate(timeout=SECONDS_MAX)
        except BaseException as error:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            print(f"mutations: {' '.join(step)}: not done after {SECONDS_MAX} s", file=sys.stderr)
            return None
        if run.returncode != 0:
            if "could not compile" in errors:
                sys.stderr.write(errors[-3000:])
                return None
            return re.findall(r"^test (\S+).* \.\.\. FAILED$", output, re.M) or ["(a test that crashes)"]
    return []


def main():
    mutations = tomllib.loads((ROOT / "engine/mutations.toml").read_text())["mutation"]
    wanted = sys.argv[1:]
    if wanted and wanted != ["--check"]:
        mutations = [m for m in mutations if any(text in m["guard"] or text in m["file"] for text in wanted)]
    if not mutations:
        sys.exit("mutations: no such guard")
    for m in mutations:
        if (ROOT / m["file"]).read_text().count(m["from"]) != 1:
            print(f"mutations: {m['file']}: not there exactly once: {m['from']}", file=sys.stderr)
            sys.exit(2)
    if wanted == ["--check"]:
        return
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
            print(f"mutations: {m['file']}: nothing shown: {m['to']}", file=sys.stderr)
            sys.exit(2)
        missed += not failed
        shown = f"{failed[0]}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "") if failed else "NOBODY"
        print(f"{m['guard']}\n    noticed by {shown}", flush=True)
    print(f"{len(mutations)} guards removed, {missed} unnoticed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
