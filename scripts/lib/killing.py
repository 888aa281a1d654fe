"""A small world for the crash tests: the real binary, a clock in a file, a temporary folder, and
the fake provider in its own process with its journal. Shared by kill-test and power-test."""

import collections
import datetime
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile

CONFIG = """\
[vapi]
phone_number_id = "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22"
assistant_id = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11"
[dialing]
calls_per_minute = 60000
[reconcile]
in_doubt = "{policy}"
"""
HEADER = "external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed,created_at\n"
FIRST_DAY = datetime.datetime(2026, 3, 2, tzinfo=datetime.timezone.utc)
NOT_ANSWERED = ("customer-did-not-answer", "customer-busy")


def text(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


class World:
    """One database and one provider. `close` removes everything."""

    def __init__(self, binary, policy="hold", fake=(), customers=4):
        self.binary = binary
        self.folder = tempfile.mkdtemp(prefix="ringonce-kill-")
        self.env = {
            "PATH": os.environ.get("PATH", ""),
            "VAPI_API_KEY": "test-key",
            "RINGONCE_TEST_CLOCK": self.path("clock"),
        }
        self.people = 0
        self.second_dialers = []
        self.set_clock(FIRST_DAY + datetime.timedelta(hours=11))
        with open(self.path("ringonce.toml"), "w") as file:
            file.write(CONFIG.format(policy=policy))
        self.fake = subprocess.Popen(
            [binary, "fake-vapi", "--listen", "127.0.0.1:0", "--journal", self.path("journal.jsonl"),
             "--queue-seconds", "0", "--concurrency", "1000", *fake],
            cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True)
        line = self.fake.stdout.readline()
        if "http://" not in line:
            raise SystemExit("the fake provider did not start")
        self.env["VAPI_BASE_URL"] = line.split()[-1]
        self.welcomed = customers
        if self.sign_up(customers, welcomed=True) != 0:
            raise SystemExit("the first customers could not be imported")

    def path(self, name):
        return os.path.join(self.folder, name)

    def set_clock(self, instant):
        self.now = instant
        with open(self.path("clock.new"), "w") as file:
            file.write(text(instant))
        os.rename(self.path("clock.new"), self.path("clock"))

    def sign_up(self, count, welcomed, run=None):
        """Imports new customers; those not welcomed signed up half an hour ago."""
        created = self.now - datetime.timedelta(days=30 if welcomed else 0, minutes=30)
        times = ["07:00", "07:00", "07:15", "07:16"]
        rows = [HEADER]
        for _ in range(count):
            number = self.people
            self.people += 1
            if number > 99:
                break
            rows.append(f"c{number},Customer {number},+121255501{number:02},America/New_York,"
                        f"{times[number % 4]},Paid,{int(welcomed)},{text(created)}\n")
        with open(self.path("new.csv"), "w") as file:
            file.writelines(rows)
        return (run or self.run)("customers", "import", "new.csv")

    def command(self, *args):
        return [self.binary, *args]

    def run(self, *args, prefix=(), timeout=60):
        """Runs a command and returns its exit code; negative for a signal."""
        with open(self.path("log"), "ab") as log:
            return subprocess.run([*prefix, *self.command(*args)], cwd=self.folder, env=self.env,
                                  stdout=log, stderr=log, timeout=timeout).returncode

    def try_second_name(self):
        """A hard link of the database must get neither its own dialer nor a file beside it."""
        name = "second.db"
        os.link(self.path("ringonce.db"), self.path(name))
        try:
            code = self.run("adopt", "--db", name, "--reason", "a second name")
        finally:
            os.unlink(self.path(name))
        left = [file for file in os.listdir(self.folder) if file.startswith(name)]
        if code != 3 or left:
            self.second_dialers.append(f"a dialer under a second name: exit {code}, left {left}")

    def run_for(self, seconds, *args, prefix=(), meanwhile=None):
        """Starts a command and kills its group after `seconds`; returns whether a kill ended it."""
        with open(self.path("log"), "ab") as log:
            process = subprocess.Popen([*prefix, *self.command(*args)], cwd=self.folder,
                                       env=self.env, stdout=log, stderr=log,
                                       start_new_session=True)
        try:
            if meanwhile:
                meanwhile()
            return process.wait(timeout=seconds) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True

    def journal(self):
        with open(self.path("journal.jsonl")) as file:
            return [json.loads(line) for line in file]

    def query(self, sql):
        with sqlite3.connect(self.path("ringonce.db")) as conn:
            return conn.execute(sql).fetchall()

    def close(self):
        self.fake.kill()
        self.fake.wait()
        self.fake.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def duplicates(journal):
    """POSTs repeated for one attempt, and rings beyond the permitted ones of an occasion."""
    found = []
    posts = collections.Counter(
        entry.get("attempt_id") for entry in journal if entry["event"] in ("post", "reject"))
    found += [f"attempt {attempt}: {count} POSTs" for attempt, count in posts.items() if count > 1]
    endings = {}
    for entry in journal:
        for call in entry.get("calls", []):
            endings[call["id"]] = call["ended_reason"]
    occasions = collections.defaultdict(list)
    for entry in journal:
        if entry["event"] == "ring":
            key = (entry["customer_key"], entry["call_type"], entry["occasion"])
            occasions[key].append((entry["at"], entry["attempt_no"], endings[entry["call_id"]]))
    for key, rings in occasions.items():
        rings.sort()
        for before, this in zip(rings, rings[1:]):
            if not (before[1] < this[1] and before[2] in NOT_ANSWERED):
                found.append(f"{key}: rang for attempt {before[1]} and {this[1]}")
    return found


def unexplained(world, days):
    """At rest: anything left open, forgotten, or in contradiction to the provider."""
    found = list(world.second_dialers)
    if world.query("PRAGMA integrity_check") != [("ok",)]:
        found.append("the database is damaged")
    found += audited(world)
    for state, count in world.query(
            "SELECT state, count(*) FROM call_attempts WHERE state IN ('dialing', 'placed') "
            "GROUP BY state"):
        found.append(f"{count} attempts are {state} at rest")
    journal = world.journal()
    ledger = {row[0]: row[1] for row in world.query("SELECT id, state FROM call_attempts")}
    for entry in journal:
        state = ledger.get(entry.get("attempt_id"))
        if entry["event"] == "ring" and state not in ("ended", "placed"):
            found.append(f"attempt {entry.get('attempt_id')} rang and is {state}")
        if entry["event"] in ("post", "reject") and state is None:
            found.append(f"attempt {entry.get('attempt_id')} was posted without an intent")
    return found + lost(world, journal, days)


def audited(world):
    """The findings of the program's own audit, which must have seen the provider's list."""
    told = subprocess.run(world.command("audit", "--json"), cwd=world.folder, env=world.env,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, text=True)
    if told.returncode != 0:
        return [f"the audit found something: {told.stdout}"]
    calls = json.loads(told.stdout)["provider_calls"]
    return [] if calls else ["the audit did not see the provider's calls"]


def lost(world, journal, days):
    """Occasions without a call. Every day ends without kills, well inside the hours of each call.
    So only a doubt (even one ruled out too late) or the provider's own refusals may prevent a
    call."""
    found = []
    rang = {(entry["customer_key"], entry["occasion"]) for entry in journal
            if entry["event"] == "ring"}
    rows = {(customer, occasion): (status, reason) for customer, occasion, status, reason in
            world.query("SELECT customer_id, occasion, status, reason FROM call_queue")}
    ruled_out = set(world.query(
        "SELECT customer_id, occasion FROM call_attempts AS made WHERE state = 'not_placed' AND "
        "EXISTS (SELECT 1 FROM journal WHERE subject = 'attempt:' || made.id AND "
        "old = 'in_doubt')"))
    people = world.query("SELECT id, key, created_at, external_id FROM customers ORDER BY id")
    if len(people) != min(world.people, 100):
        found.append(f"{len(people)} of {world.people} customers are in the file")
    for customer, key, created, name in people:
        first = int(name[1:]) < world.welcomed
        # The day of the welcome call may or may not have a daily call as well.
        begun = FIRST_DAY if first else day_of(created) + datetime.timedelta(days=1)
        dates = [begun + datetime.timedelta(days=day) for day in range(days)]
        last = FIRST_DAY + datetime.timedelta(days=days)
        due = [date.strftime("%Y-%m-%d") for date in dates if date < last]
        for occasion in due + ([] if first else ["welcome"]):
            status, reason = rows.get((customer, occasion), ("missing", None))
            if status == "completed":
                if (key, occasion) not in rang:
                    found.append(f"{name} {occasion} is completed, but nothing rang")
            elif status != "failed" or not (
                    reason in ("in_doubt", "attempts_used")
                    or (reason == "too_late" and (customer, occasion) in ruled_out)):
                found.append(f"{name} {occasion} was lost: {status} {reason}")
    return found


def day_of(instant):
    return datetime.datetime.fromisoformat(instant[:10]).replace(tzinfo=datetime.timezone.utc)
