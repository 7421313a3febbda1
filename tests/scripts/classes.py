#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the size of classes, from the output of Universal Ctags: layout.py runs it.

    classes.py [--root DIR]     prints "path: rule: what is wrong"; exits with 1 if it printed any

- A class in detail/ has at most PUBLIC_MAX public members; the public classes are counted by names.py.
- A class has at most DATA_MAX data members, except structs of options, counters, status and reports.
- A class in detail/ inherits at most one level deep.
- A friend is a function, a class of the same header (a handle, an awaiter, a nested class), a base, or is in FRIENDS.

A class beyond a limit is redesigned, or listed with the reason; it is never split to satisfy a number.
"""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys

PUBLIC_MAX = 15
DATA_MAX = 12
WORDS = ("Options", "Status", "Counters", "Report", "Snapshot")

# "<header> <class>": why it may be larger, or deeper.
LISTED = {
    "core/detail/member_names.hpp MemberNames": "one member for each name that is probed",
    "asio/detail/asio_of.hpp AsioOf": "one function for each part of asio that two bindings use",
    "asio_sim/detail/socket.hpp AsioSimSocket": "the interface of asio's socket",
    "beast/detail/pending_upgrade.hpp BeastPendingUpgrade": "one upgrade: request, timers, TLS and proxy state",
    "beast/detail/pending_upgrade.hpp BeastServerHandshake": "an accepted stream, behind an interface that hides its type",
    "beast/detail/stream.hpp BeastStream": "one WebSocket: both directions, pings, limits and closing",
    "curl/detail/transfer.hpp CurlTransfer": "one transfer: what libcurl's callbacks share",
    "libc_sim/detail/disk.hpp LibcDiskFile": "one function for each system call of a file",
    "libc_sim/detail/process.hpp LibcProcess": "one process: descriptors, waits, signals and the end",
    "libc_sim/detail/socket.hpp LibcSocket": "one function for each system call of a socket",
    "sim/detail/disk_names.hpp DiskNames": "one function for each change of a name, and what a crash leaves",
    "sim/detail/station.hpp Fabric": "the state of a network, without an invariant of its own",
    "mcp/detail/core.hpp McpCore": "the state of one protocol client, as a value",
    "sqlite/detail/database.hpp SqliteDatabase": "one member function for each kind of statement",
    "sqlite/store.hpp SqliteElements": "one member for each prepared statement",
    "sqlite/rooms.hpp SqliteRoomTables": "one member for each prepared statement",
    "redis/stream.hpp Stream": "one member for each key and script",
    "breaker/detail/breaker_core.hpp BreakerCore": "the state of a breaker, as a value, for the rule and the shared object",
    "core/mailbox.hpp Mailbox": "the queue, its bounds and its wakes under one lock",
    "fleet/detail/dial_scheduler.hpp DialScheduler": "the events of all services of a fleet meet in it",
    "fleet/detail/dial_scheduler.hpp ServiceEntry": "what a scheduler stores of one service, without an invariant of its own",
    "fleet/pool.hpp Pool": "members, waiting callers and the proof of a dead network",
    "journal/detail/group_writer.hpp GroupWriter": "one file's positions under one lock, for many threads",
    "journal/detail/journal_log.hpp JournalLog": "the numbers, the segments and the writer under one lock, which a journal and its reader query",
    "journal/detail/journal_recovery.hpp JournalRecovery": "what one opening collects, and hands over",
    "journal/detail/segment_files.hpp Segment": "one file of the index: positions, marks and counts",
    "journal/journal_inspect.hpp SegmentInspector": "what one inspection counts",
    "session/detail/receiver_peers.hpp ServedPeer": "one function for each call of a served connection",
    "link/requests.hpp Question": "one question: its places in two lists and a heap",
    "link/detail/stream_connection.hpp StreamConnection": "one socket: both directions, limits and closing",
    "link/transport_check.hpp TransportChecker": "what one check of a transport observes",
    "link/requests.hpp Requests": "codec, questions and supervisor, and the state of a drain",
    "link/served_link.hpp ServedLink": "one accepted connection: its limits, events and waiters",
    "link/supervisor_core.hpp SupervisorCore": "the state of a supervised connection, as a value",
    "room/detail/client_core.hpp ClientCore": "the state of a client, as a value",
    "room/detail/persistence_scheduler.hpp PersistenceScheduler": "the calls of rooms and of the administrator to one storage",
    "room/detail/room_state.hpp RoomBase": "one member for each part of a room",
    "room/detail/turn_context.hpp TurnContext": "what all parts of a turn share: options, time, events and errors",
    "session/outbox.hpp OutboxWindow": "one function for each event of a message",
    "session/detail/sender_core.hpp SenderCore": "the state of the protocol at the sender, as a value",
    "session/receiver.hpp Receiver": "the ledger, the senders and their connections",
    "session/outbox.hpp Outbox": "queue, window, supervisor, and the state of the storage and of a drain",
    "session/session.hpp Session": "queue, supervisor, core and what the observer has not been notified of",
    "sim/detail/channel.hpp Channel": "one function for each call of a simulated socket and its network",
    "sim/detail/segment.hpp End": "the state of one simulated socket, of messages or of bytes",
    "sim/detail/segment.hpp Pipe": "the state of one direction of a simulated connection",
    "sim/detail/socket.hpp Socket": "one function for each system call of a socket",
    "sim/detail/engine.hpp Engine": "the clock, the events and the trace of one world",
    "sync/detail/bridge_engine.hpp BridgeSession": "what a bridge stores of one session",
    "sync/detail/scene_reconciliation.hpp SceneMemory": "one function for each event of a session, and its fields for sim::exhaust",
    "work/detail/work_entry.hpp WorkEntry": "one member for each field of an entry",
    "work/detail/work_items.hpp WorkItems": "one function for each entry of the log",
    "work/detail/work_table.hpp WorkPositions": "one function for each query of the index",
    "work/detail/work_table.hpp WorkSlots": "one function for each state of an item",
    "yjs/detail/yjs_split.hpp Splitter": "what one pass over an update collects",
    "yjs/detail/yjs_struct.hpp Struct": "one member for each field of the format",
}
FRIENDS = {
    "call/limiters.hpp Queued": "takes a place in the queue, which no other caller may",
    "call/limiters.hpp Queued": "takes a place in the queue, which no other caller may",
    "call/task.hpp AnyDone": "resumes the frame of a Task without its owner",
    "fleet/fleet.hpp LifetimeFlagOf": "gives a handle its state",
    "fleet/fleet.hpp ServiceCalls": "is the fleet's table of calls to a service that it owns",
    "fleet/pool.hpp LifetimeFlagOf": "gives a handle its state",
    "link/supervisor.hpp LifetimeFlagOf": "gives a handle its state",
    "room/room_manager.hpp LifetimeFlagOf": "gives a handle its state",
    "session/receiver.hpp LifetimeFlagOf": "gives a handle its state",
    "session/session.hpp LifetimeFlagOf": "gives a handle its state",
    "session/session_service.hpp ServiceCalls": "is the fleet's table of calls to a service that it owns",
    "sim/accepted.hpp Tcp": "makes the other end of a connection",
    "sim/disk.hpp Host": "takes the operations into the history of its world",
    "sim/host.hpp Network": "faults reach the host's simulated kernel",
    "sim/host.hpp World": "starts, kills and pauses the host's process",
    "sync/bridge.hpp LifetimeFlagOf": "gives a handle its state",
}
FRIENDS_MAX = 20
FRIEND = re.compile(r"\s*friend (?:class |struct )?([\w:]+)(?:<.*>)?;")


def last(name):
    return re.sub(r"<.*", "", name).split("::")[-1].strip()


class Classes:
    def __init__(self, root):
        self.root = root
        self.public = collections.defaultdict(set)
        self.data = collections.defaultdict(set)
        self.bases = collections.defaultdict(list)  # (header, class): names of its bases
        command = ["ctags", "-R", "-f", "-", "--fields=+aniK", "--excmd=number", "--kinds-C++=+p", "include"]
        for line in subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
            name, path, _, kind, *fields = line.split("\t")
            header = path.removeprefix("include/belay/")
            if "__anon" in line:
                continue
            fields = dict(field.partition(":")[::2] for field in fields)
            if kind in ("class", "struct"):
                bases = fields.get("inherits", "").split(",")
                self.bases[header, name] += [last(base) for base in bases if base and not base.startswith("std::")]
            owner = fields.get("class") or fields.get("struct")
            if owner:
                self.add(header, last(owner), name, kind, fields.get("access"))

    def add(self, header, owner, name, kind, access):
        if kind == "member":
            self.data[header, owner].add(name)
        if access == "public" and kind in ("member", "function", "prototype"):
            if name != owner and not name.startswith(("~", "operator")):
                self.public[header, owner].add(name)

    def is_deep(self, header, name):
        homes = {}
        for (home, owner), bases in self.bases.items():
            homes.setdefault(owner, []).extend(bases)
        return any(homes.get(base) for base in self.bases[header, name])

    def found(self):
        """(header, class, rule, what) of everything beyond a limit, listed or not."""
        for (header, owner), members in sorted(self.public.items()):
            if "/detail/" in header and len(members) > PUBLIC_MAX:
                yield header, owner, "public-members", f"{len(members)}, the limit is {PUBLIC_MAX}"
        for (header, owner), members in sorted(self.data.items()):
            if not owner.endswith(WORDS) and len(members) > DATA_MAX:
                yield header, owner, "data-members", f"{len(members)}, the limit is {DATA_MAX}"
        for header, owner in sorted(self.bases):
            if "/detail/" in header and self.is_deep(header, owner):
                yield header, owner, "inheritance", "more than one level deep"

    def friends(self):
        """(header, line, friend) of each friend that is neither of the same header nor a base."""
        for path in sorted((self.root / "include" / "belay").rglob("*.hpp")):
            header = str(path.relative_to(self.root / "include" / "belay"))
            text = path.read_text(encoding="utf-8")
            for number, line in enumerate(text.splitlines(), 1):
                friend = FRIEND.match(line)
                if not friend:
                    continue
                name = re.escape(last(friend[1]))
                here = (rf"\b(?:class|struct) (?:\[\[\w+\]\] )?{name}\b[^;]*\{{", rf"\busing {name}\b",
                        rf"template <[^>]*\b(?:class|\w+Like) {name}\b", rf" : [^{{;]*\b{name}\b")
                if not any(re.search(form, text) for form in here):
                    yield header, number, last(friend[1])

    def complaints(self):
        beyond = list(self.found())
        for header, owner, rule, what in beyond:
            if f"{header} {owner}" not in LISTED:
                yield (f"include/belay/{header}:1: {rule}: {owner}: {what}: redesign it, or list it with the reason in "
                       "tests/scripts/classes.py")
        for entry in sorted(set(LISTED) - {f"{header} {owner}" for header, owner, _, _ in beyond}):
            yield f"tests/scripts/classes.py:1: listed: {entry} is within the limits: remove it from LISTED"
        friends = list(self.friends())
        for header, number, name in friends:
            if "test" in name.lower():
                yield f"include/belay/{header}:{number}: friend: {name}: a test is no friend; test by the public functions"
            elif f"{header} {name}" not in FRIENDS:
                yield (f"include/belay/{header}:{number}: friend: {name}: call a public function, or list it with the reason "
                       "in tests/scripts/classes.py")
        for entry in sorted(set(FRIENDS) - {f"{header} {name}" for header, _, name in friends}):
            yield f"tests/scripts/classes.py:1: friend: {entry} is no friend: remove it from FRIENDS"
        if len(FRIENDS) > FRIENDS_MAX:
            yield f"tests/scripts/classes.py:1: friend: {len(FRIENDS)} are listed, the limit is {FRIENDS_MAX}"


def complaints(root):
    """What is wrong, a line each; nothing where ctags is missing."""
    return list(Classes(root).complaints()) if shutil.which("ctags") else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    if not shutil.which("ctags"):
        print("SKIP: no ctags here; install universal-ctags")
        return 0
    wrong = complaints(root)
    print("\n".join(wrong + [f"{len(LISTED)} classes and {len(FRIENDS)} friends are listed, {len(wrong)} violations"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
