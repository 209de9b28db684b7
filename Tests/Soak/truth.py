# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL has committed, and whether every watcher and every writer was told so.

Every audit reads the rows of the change table that are new, then everybody's records up to them; what all have passed is forgotten, so
that a soak of days needs no more memory than one of minutes. The rules are those of the fault campaign's checker (Tests/ClusterTests).
"""

import asyncio
import dataclasses
import json


@dataclasses.dataclass
class Row:
    revision: int
    first: int
    last: int
    cursor: str
    name: str
    is_secret: bool
    is_set: bool
    version: int
    # Of a secret None, until somebody who may read it says it; whoever comes later must say the same.
    value: str | None


@dataclasses.dataclass
class Seen:
    """A change, or an entry of a snapshot, as it came."""

    revision: int
    name: str
    is_secret: bool
    is_set: bool
    version: int
    value: str | None

    @staticmethod
    def of(item):
        return Seen(item["revision"], item["name"], item["isSecret"], item.get("op") != "delete", item["version"], mark(item.get("value")))

    def is_of(self, row):
        if row.is_secret and row.is_set and row.value is None:
            row.value = self.value
        wanted = (row.revision, row.name, row.is_secret, row.is_set, row.version, row.value if row.is_set else None)
        return (self.revision, self.name, self.is_secret, self.is_set, self.version, self.value) == wanted


def mark(value):
    """A short value as it is, of a long one what tells it from others."""
    return f"{len(value)}:{value[:32]}:{value[-8:]}" if value is not None and len(value) > 48 else value


MARK = "CASE WHEN length(c.value) > 48 THEN length(c.value) || ':' || left(c.value, 32) || ':' || right(c.value, 8) ELSE c.value END"


class Wrong(Exception):
    """A finding."""


class History:
    """One environment's change table from `floor` on, and its state there."""

    def __init__(self, path, origin):
        self.path = path
        self.floor, self.floor_cursor, self.floor_state = 0, origin, {}
        self.rows = []
        self.unclaimed = set()

    @property
    def head(self):
        return self.floor + len(self.rows)

    def append(self, row):
        if row.revision != self.head + 1:
            raise Wrong(f"{self.path}: revision {row.revision} follows {self.head} in the change table")
        self.rows.append(row)
        self.unclaimed.add(row.revision)

    def after(self, revision, last):
        return self.rows[max(0, revision - self.floor):max(0, last - self.floor)]

    def at(self, revision):
        return self.rows[revision - self.floor - 1]

    def place(self, revision, cursor):
        """A frame leads to the end of a transaction of this history."""
        known = self.floor_cursor if revision == self.floor else self.at(revision).cursor if revision > self.floor else None
        if known != cursor:
            raise Wrong(f"cursor {cursor} at {revision} is not of this history")
        if revision > self.floor and self.at(revision).last != revision:
            raise Wrong(f"a transaction is cut at {revision}")

    def state(self, revision):
        state = dict(self.floor_state)
        for row in self.after(self.floor, revision):
            state.pop(row.name, None)
            if row.is_set:
                state[row.name] = row
        return state

    def forget(self, floor):
        if floor <= self.floor:
            return
        self.floor_cursor, self.floor_state = self.at(floor).cursor, self.state(floor)
        self.rows = self.rows[floor - self.floor:]
        self.floor = floor


class Log:
    """What one watcher asked and was told of one environment, over all its connections."""

    def __init__(self, who, path, prefix="", shows_secrets=True):
        self.who, self.path, self.prefix, self.shows_secrets = who, path, prefix, shows_secrets
        self.records = []
        # It knows all that it may see up to here; -1 before its first frame.
        self.position = -1
        # What the next frame's previousRevision must be; None while only a snapshot can follow.
        self.chain = None
        self.is_fresh = False
        self.held = {}
        self.conflated = 0
        self.is_wrong = False

    def shows(self, row):
        return row.name.startswith(self.prefix) and (self.shows_secrets or not row.is_secret)

    def check(self, history):
        """All records that lead to revisions which the history has."""
        done = 0
        for kind, revision, *details in self.records:
            if revision > history.head:
                break
            done += 1
            getattr(self, kind)(history, revision, *details)
        del self.records[:done]

    def asked(self, _, revision, since):
        if since is not None and since != self.position:
            raise Wrong(f"it asked from {since}, knowing {self.position}")
        self.chain, self.is_fresh = since, True

    def snapshot(self, history, revision, cursor, entries):
        if revision < self.position:
            raise Wrong(f"a snapshot of {revision}, knowing {self.position}")
        history.place(revision, cursor)
        self.held = {entry.name: entry for entry in entries}
        if len(self.held) != len(entries):
            raise Wrong(f"a name is twice in the snapshot of {revision}")
        self.compare(history, revision)
        self.position, self.chain, self.is_fresh = revision, revision, False

    def changes(self, history, revision, cursor, previous, changes):
        if self.chain is None or previous != self.chain:
            raise Wrong(f"changes from {previous} to {revision}, after {self.chain}")
        if revision < previous or not changes and not self.is_fresh:
            raise Wrong(f"a frame from {previous} to {revision} with {len(changes)} changes")
        history.place(revision, cursor)
        if any(later.revision <= earlier.revision for earlier, later in zip(changes, changes[1:])):
            raise Wrong(f"disorder in the frame to {revision}")
        # What lies between the chain and the position was invisible, as a head has said and was checked.
        due = [row for row in history.after(max(previous, self.position), revision) if self.shows(row)]
        if len(changes) != len(due) or not all(seen.is_of(row) for seen, row in zip(changes, due)):
            self.explain(changes, due, revision)
        for seen in changes:
            self.held.pop(seen.name, None)
            if seen.is_set:
                self.held[seen.name] = seen
        self.position, self.chain, self.is_fresh = max(self.position, revision), revision, False

    def explain(self, changes, due, revision):
        """Fewer than were made: either the newest of every name, or a fault."""
        known = {row.revision: row for row in due}
        newest = {row.name: row.revision for row in due}
        for seen in changes:
            if seen.revision not in known or not seen.is_of(known[seen.revision]):
                raise Wrong(f"{seen} in the frame to {revision}, but PostgreSQL has {known.get(seen.revision)}")
        missing = set(newest.values()) - {seen.revision for seen in changes}
        if missing or len(changes) != len(newest):
            raise Wrong(f"revisions {sorted(missing or known.keys() - {seen.revision for seen in changes})[:5]} are not in the frame to {revision}")
        self.conflated += 1

    def head(self, history, revision, cursor):
        if self.is_fresh or revision < self.position:
            raise Wrong(f"a head of {revision}, knowing {self.position}")
        history.place(revision, cursor)
        missing = [row.revision for row in history.after(self.position, revision) if self.shows(row)]
        if missing:
            raise Wrong(f"the heartbeat says that all up to {revision} was sent, but {missing[:5]} was not")
        self.position = revision

    def goal(self, history):
        """The last revision that it can see."""
        return next((row.revision for row in reversed(history.after(self.position, history.head)) if self.shows(row)), 0)

    def compare(self, history, revision):
        wanted = {name: row for name, row in history.state(revision).items() if self.shows(row)}
        wrong = [name for name in wanted.keys() | self.held.keys() if name not in wanted or name not in self.held or not self.held[name].is_of(wanted[name])]
        if wrong:
            name = min(wrong)
            raise Wrong(f"{len(wrong)} names are wrong at {revision}, such as {name}: {self.held.get(name)} instead of {wanted.get(name)}")


class Truth:
    def __init__(self, cluster):
        self.cluster = cluster
        self.histories = {}
        self.logs = []
        self.claims = []
        self.findings = []
        self.audited = 0
        self.lock = asyncio.Lock()

    def add(self, path, origin):
        self.histories[path] = History(path, origin)

    def claim(self, writer, path, revision, count, sets, deletes=()):
        """A write was answered: its transaction ends at `revision` and made `count` changes."""
        if count:
            self.claims.append((writer, path, revision, count, {name: mark(value) for name, value in sets.items()}, set(deletes)))

    async def audit(self, is_last=False):
        """False while PostgreSQL can't be asked. One at a time: two would read the same rows."""
        async with self.lock:
            return await self.read(is_last)

    async def read(self, is_last):
        wanted = " OR ".join(f"(e.path = '{path}' AND c.revision > {history.head})" for path, history in self.histories.items())
        lines = await self.cluster.sql(
            "SELECT json_build_array(e.path, c.revision, c.first, c.last, c.revision || '-' || lpad(to_hex(c.mark), 8, '0'), c.name, "
            f"c.kind = 'secret', c.visible, c.version, CASE WHEN c.kind = 'variable' AND c.visible THEN {MARK} END) "
            f"FROM keyvane.change c JOIN keyvane.environment e ON e.id = c.environment_id WHERE {wanted} ORDER BY e.path, c.revision"
        )
        if lines is None:
            return False
        try:
            for line in lines:
                path, *columns = json.loads(line)
                self.histories[path].append(Row(*columns))
                self.audited += 1
        except Wrong as wrong:
            self.find(str(wrong))
        self.check_claims(is_last)
        self.check_logs(is_last)
        for path, history in self.histories.items():
            floors = [log.position for log in self.logs if log.path == path and not log.is_wrong]
            # A write whose answer is still awaited will be compared with its rows.
            floors.append(min(history.unclaimed, default=history.head + 1) - 1)
            history.forget(min(floors))
        return True

    def find(self, text):
        self.findings.append(text)
        print(f"soak: {text}", flush=True)

    def check_claims(self, is_last):
        waiting = []
        for claim in self.claims:
            writer, path, revision, count, sets, deletes = claim
            history = self.histories[path]
            if revision > history.head:
                waiting.append(claim)
                if is_last:
                    self.find(f"writer {writer}: the answered write {revision} of {path} is not in PostgreSQL, whose head is {history.head}")
                continue
            try:
                self.check_claim(history, revision, count, sets, deletes)
            except Wrong as wrong:
                self.find(f"writer {writer} in {path}: {wrong}")
        self.claims = waiting
        if is_last:
            for path, history in self.histories.items():
                if history.unclaimed:
                    self.find(f"{path}: nobody was answered revisions {sorted(history.unclaimed)[:5]}")

    @staticmethod
    def check_claim(history, revision, count, sets, deletes):
        made = range(revision - count + 1, revision + 1)
        if not history.unclaimed.issuperset(made):
            raise Wrong(f"revisions {made.start} to {revision} were answered twice")
        history.unclaimed.difference_update(made)
        rows = history.after(made.start - 1, revision)
        if rows[0].first != made.start or rows[0].last != revision:
            raise Wrong(f"{made.start} to {revision} is not one transaction")
        sets = dict(sets)
        for row in rows:
            if row.is_set:
                if row.is_secret and row.value is None:
                    row.value = sets.get(row.name)
                if sets.pop(row.name, None) != row.value:
                    raise Wrong(f"{row} was not written so")
            elif row.name not in deletes:
                raise Wrong(f"{row} was not asked for")
        if sets:
            raise Wrong(f"{sorted(sets)} is not in the transaction to {revision}")

    def check_logs(self, is_last):
        for log in self.logs:
            if log.is_wrong:
                continue
            history = self.histories[log.path]
            try:
                log.check(history)
                if is_last:
                    if log.goal(history):
                        raise Wrong(f"revision {log.goal(history)} never came")
                    log.compare(history, history.head)
            except Wrong as wrong:
                # What follows a fault is its consequence.
                log.is_wrong = True
                log.records.clear()
                self.find(f"watcher {log.who} in {log.path}: {wrong}")

    def behind(self):
        """Watchers that lack something that is committed; counted after an audit."""
        return [log for log in self.logs if not log.is_wrong and (log.position < 0 or log.goal(self.histories[log.path]))]

    @property
    def conflated(self):
        return sum(log.conflated for log in self.logs)
