"""A copy of this tree with one piece of text replaced, to show that a test notices it. The tree
itself is never changed, so others can work in it at the same time. The copy reuses the libraries
that were compiled for the tree."""

import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPIED = ["src", "tests", "benches", "schema.sql", "Cargo.toml", "Cargo.lock", "clippy.toml",
          "rustfmt.toml", "scripts", "README.md", "docs", "CONTRIBUTING.md", "DECISIONS.md", "CHANGELOG.md",
          ".ci", ".cargo"]


def target():
    return os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))


def locate(tree, name, text):
    """The file that contains a text exactly once: the named one, or the only other one to which
    the text was moved. `None` if that is not clear."""
    def count(path):
        with open(path) as file:
            return file.read().count(text)

    if os.path.exists(os.path.join(tree, name)) and count(os.path.join(tree, name)) == 1:
        return name
    holders = []
    for folder, _, files in os.walk(os.path.join(tree, "src")):
        paths = [os.path.join(folder, file) for file in files if file.endswith(".rs")]
        holders += [(path, count(path)) for path in paths if count(path)]
    if len(holders) == 1 and holders[0][1] == 1:
        return os.path.relpath(holders[0][0], tree)
    return None


def copy_tree(source, copy):
    """Makes the copy equal to the source; equal files keep their time."""
    for name in COPIED:
        path = os.path.join(source, name)
        if os.path.isdir(path):
            copy_folder(path, os.path.join(copy, name))
        elif os.path.exists(path):
            os.makedirs(copy, exist_ok=True)
            copy_file(path, os.path.join(copy, name))


def copy_folder(source, copy):
    os.makedirs(copy, exist_ok=True)
    wanted = set(os.listdir(source)) - {"__pycache__"}
    for gone in set(os.listdir(copy)) - wanted:
        path = os.path.join(copy, gone)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    for name in wanted:
        path = os.path.join(source, name)
        if os.path.isdir(path):
            copy_folder(path, os.path.join(copy, name))
        else:
            copy_file(path, os.path.join(copy, name))


def copy_file(source, copy):
    with open(source, "rb") as file:
        wanted = file.read()
    if os.path.exists(copy):
        with open(copy, "rb") as file:
            if file.read() == wanted:
                return
    with open(copy, "wb") as file:
        file.write(wanted)
    shutil.copymode(source, copy)


class Variant:
    """The copy. It remains after a run, so that the next run compiles less."""

    def __init__(self, folder=None):
        self.folder = folder or os.path.join(target(), "variant")
        self.tree = os.path.join(self.folder, "tree")
        self.original = os.path.join(self.folder, "original")
        self.env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(self.folder, "target"),
                        CARGO_TERM_COLOR="never", CARGO_INCREMENTAL="1",
                        FULL_TESTS="1")
        self.take_over()
        copy_tree(ROOT, self.original)
        self.refresh()

    def take_over(self):
        """Copies the compiled libraries of the tree, once."""
        ours = os.path.join(self.folder, "target", "debug")
        if os.path.exists(ours):
            return
        os.makedirs(ours)
        for name in ("deps", "build", ".fingerprint"):
            theirs = os.path.join(target(), "debug", name)
            if os.path.exists(theirs):
                # Only other crates' libraries are reused: this crate is compiled again.
                subprocess.run(["cp", "-a", theirs, ours], check=True)

    def refresh(self):
        """Resets the copy to the tree as it was at the beginning."""
        copy_tree(self.original, self.tree)

    def replace(self, name, old, new):
        """Replaces the one place of a text; returns the problem if there is not exactly one."""
        found = locate(self.tree, name, old)
        if found is None:
            return f"{name} does not hold the text once, nor does any other file"
        path = os.path.join(self.tree, found)
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace(old, new))
        return None

    def cargo(self, *args, timeout=None):
        """Exit code and output of a cargo command in the copy; `None` if it took too long."""
        process = subprocess.Popen(["cargo", *args], cwd=self.tree, env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   start_new_session=True)
        try:
            output, _ = process.communicate(timeout=timeout)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            return None, output

    def binary(self):
        return os.path.join(self.folder, "target", "debug", "ringonce")
