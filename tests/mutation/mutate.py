#!/usr/bin/env python3
"""Breaks the library on purpose, one place at a time, and reports how many of the mutants the tests notice.

    tests/mutation/mutate.py [--count N] [--minutes M] [--seed S] [--files GLOB ...] [--jobs J] [--list] [--build DIR]

A mutant flips a sign, shifts an index or a bound, drops a term or a statement in a kernel, an op or the engine. Each is
built in a copy of the sources and the tests run on it until one fails, fast ones first. A mutant that does not compile
is drawn again; one that hangs or crashes is noticed. The tests named as the broken file is go first, and only what
they miss has the others built. The report goes to standard output as Markdown: what was changed,
which test noticed, and the survivors, which want a test or an explanation.
"""
import argparse
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = ["src/ops/*.c", "src/kernels/*_body.h", "src/kernels/copy.c", "src/autograd/walk.c", "src/autograd/staging.c"]

# Name, what to look for, what to put in its place. Spaces keep them off pointers, casts and comments.
MUTATIONS = [
    ("sign", re.compile(r"(?<=[\w)\]]) \+ (?=[\w(])"), " - "),
    ("sign", re.compile(r"(?<=[\w)\]]) - (?=[\w(])"), " + "),
    ("sign", re.compile(r" \+= "), " -= "),
    ("sign", re.compile(r"\bpleat_neg\("), "pleat_clone("),
    ("factor", re.compile(r"(?<=[\w)\]]) \* (?=[\w(])"), " + "),
    ("bound", re.compile(r"(?<=[\w)\]]) < (?=[\w(])"), " <= "),
    ("bound", re.compile(r"(?<=[\w)\]]) <= (?=[\w(])"), " < "),
    ("bound", re.compile(r"(?<=[\w)\]]) > (?=[\w(-])"), " >= "),
    ("test", re.compile(r" == "), " != "),
    ("test", re.compile(r" && "), " || "),
    ("index", re.compile(r"\[0\]"), "[1]"),
    ("index", re.compile(r"\[1\]"), "[0]"),
    ("index", re.compile(r"\[([idkn])\]"), r"[\1 > 0 ? \1 - 1 : \1]"),
    ("drop", re.compile(r"^(\s+)(?!return|const|int|double|float|pleat_\w+ \*?\w+ =)[\w\[\]>.-]+ [+*-]?= .*;$"), r"\1;"),
]


def code_of(line, in_comment):
    """The line with comments and strings blanked, and whether a comment goes on."""
    out, i, quoted = [], 0, False
    while i < len(line):
        two = line[i:i + 2]
        if in_comment:
            if two == "*/":
                in_comment = False
                out.append("  ")
                i += 2
                continue
            out.append(" ")
        elif quoted:
            quoted = line[i] != '"' or line[i - 1] == "\\"
            out.append(" ")
        elif two == "/*":
            in_comment = True
            out.append("  ")
            i += 2
            continue
        elif line[i] == '"':
            quoted = True
            out.append(" ")
        else:
            out.append(line[i])
        i += 1
    return "".join(out), in_comment


def candidates(patterns):
    found = []
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            name, comment = os.path.relpath(path, ROOT), False
            with open(path) as f:
                for number, line in enumerate(f):
                    line = line.rstrip("\n")
                    code, comment = code_of(line, comment)
                    if code.lstrip().startswith("#") or "pleat_fail" in code or not code.strip():
                        continue
                    for kind, wanted, instead in MUTATIONS:
                        for m in wanted.finditer(code):
                            changed = line[:m.start()] + m.expand(instead) + line[m.end():]
                            found.append((name, number, kind, line, changed))
    return found


def end_session(session):
    """Kills all of its processes, of whatever group."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()  # state, parent, group, session
            if int(fields[3]) == session:
                os.kill(int(path.split("/")[2]), signal.SIGKILL)
        except (OSError, IndexError):
            pass  # it ended meanwhile


def run(command, cwd, timeout):
    """Exit status and output; None where it ran out of time. Whatever it started ends with it: a test runs in a process
    and a group of its own, and would outlive the program."""
    p = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace", start_new_session=True)
    try:
        out, _ = p.communicate(timeout=timeout)
        return p.returncode, out
    except subprocess.TimeoutExpired:
        end_session(p.pid)
        p.communicate()
        return None, ""


def tests_of(build):
    """The test programs, the quickest first, as a first run of the unbroken library finds them."""
    code, out = run(["ctest", "-LE", "isa|example", "-N"], build, 60)
    names = re.findall(r"Test +#\d+: (\S+)", out)
    timed = []
    for name in names:
        program = os.path.join(build, "tests", name)
        if not os.path.exists(program):
            continue
        start = time.time()
        code, out = run([program], os.path.join(build, "tests"), 600)
        if code != 0:
            sys.exit(f"{name} fails on the unbroken library:\n{out}")
        timed.append((time.time() - start, name))
    return [(name, seconds) for seconds, name in sorted(timed)]


class Library:
    """A copy of the sources, one place of which is broken at a time."""

    def __init__(self, work, jobs):
        self.source, self.build = os.path.join(work, "source"), os.path.join(work, "build")
        shutil.rmtree(self.source, ignore_errors=True)
        shutil.copytree(ROOT, self.source, ignore=shutil.ignore_patterns(".git", "build*"))
        code, _ = run(["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", "-DPLEAT_EXAMPLES=OFF",
                       "-DPLEAT_BENCH=OFF", "-DPLEAT_TESTS=ON", "-DPLEAT_ISAS=generic"], work, 300)  # one will do
        self.make = ["cmake", "--build", self.build, "-j", str(jobs)]
        if code != 0 or run(self.make, work, 3600)[0] != 0:
            sys.exit("the unbroken library does not build")
        self.tests = tests_of(self.build)

    def first_to_fail(self, tests):
        """Of the tests, (name, seconds) each: the one that notices; '' where none does; None where nothing builds."""
        targets = [word for name, _ in tests for word in ("--target", name)]
        if run(self.make + targets, self.build, 1800)[0] != 0:
            return None
        for name, seconds in tests:
            status, _ = run([os.path.join(self.build, "tests", name)], os.path.join(self.build, "tests"),
                            20 + 10 * seconds)
            if status != 0:
                return name if status is not None else name + " (time)"
        return ""

    def notices(self, name, number, after):
        """first_to_fail for a mutant."""
        path = os.path.join(self.source, name)
        with open(path) as f:
            text = f.read()
        lines = text.split("\n")
        lines[number] = after
        with open(path, "w") as f:
            f.write("\n".join(lines))
        stem = re.sub(r"(_body)?\.[ch]$", "", os.path.basename(name))
        own = [t for t in self.tests if stem in t[0]]
        by = self.first_to_fail(own) if own else ""
        if by == "":
            by = self.first_to_fail([t for t in self.tests if t not in own])
        with open(path, "w") as f:
            f.write(text)
        return by


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="how many mutants (30)")
    parser.add_argument("--minutes", type=float, default=1e9, help="draw no more after so many")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--files", nargs="*", default=FILES, help="patterns of files to break")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once")
    parser.add_argument("--list", action="store_true", help="print every place that can be broken, and stop")
    parser.add_argument("--build", help="work here and keep it, instead of in a temporary folder")
    args = parser.parse_args()

    all_of_them = candidates(args.files)
    if args.list:
        for name, number, kind, before, after in all_of_them:
            print(f"{name}:{number + 1}: {kind}: {after.strip()}")
        print(f"{len(all_of_them)} mutants", file=sys.stderr)
        return
    # every file in turn, so that a long one does not take all the places
    chance, by_file = random.Random(args.seed), {}
    for m in all_of_them:
        by_file.setdefault(m[0], []).append(m)
    for of_file in by_file.values():
        chance.shuffle(of_file)
    names = sorted(by_file)
    chance.shuffle(names)
    queue = [by_file[n][i] for i in range(max(map(len, by_file.values()))) for n in names if i < len(by_file[n])]

    work = args.build or tempfile.mkdtemp(prefix="pleat-mutants-")
    library = Library(work, args.jobs)
    noticed, survivors, start = [], [], time.time()
    for name, number, kind, before, after in queue:
        tried = len(noticed) + len(survivors)
        if tried == args.count or time.time() - start > 60 * args.minutes:
            break
        if sys.stderr.isatty():
            print(f"{tried}/{args.count}  {len(noticed)} noticed  {name}:{number + 1}", file=sys.stderr)
        by = library.notices(name, number, after)
        if by is not None:
            (noticed if by else survivors).append((name, number, kind, before, after, by))
    if not args.build:
        shutil.rmtree(work)

    print(f"{len(noticed)} of {len(noticed) + len(survivors)} mutants noticed (seed {args.seed}, {len(all_of_them)} places).\n")
    print("| place | kind | noticed by |\n| --- | --- | --- |")
    for name, number, kind, before, after, by in noticed:
        print(f"| {name}:{number + 1} | {kind} | {by} |")
    for name, number, kind, before, after, by in survivors:
        print(f"\nSurvived: {name}:{number + 1} ({kind})\n\n    - {before.strip()}\n    + {after.strip()}")


if __name__ == "__main__":
    main()
