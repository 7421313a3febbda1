#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmark programs and prints one table: ours beside each peer, as medians of ratios.

    report.py [--repetitions N] [--min-time SECONDS] [--filter REGEX] [--json FILE] PROGRAM...

A program is run N times, and in each run the implementations of an operation one after the other. A ratio is the median
of the runs' own ratios: what slows a machine for longer than one run takes changes none of them. Behind a speed and a
ratio stands how far half of the runs spread. A ratio above 1 says that belay is faster. Nothing fails because of a
number: machines differ.
"""

import argparse
import collections
import json
import re
import statistics
import subprocess
import sys
import tempfile

# What the project promises: operation, peer, least ratio of belay's speed to the peer's. PER_SECOND instead of a peer:
# items or bytes per second; WITHIN: seconds for one iteration; AT_MOST: of what is counted. Arguments (/threads:64) are
# named where the goal is theirs only.
Goal = collections.namedtuple("Goal", "operation peer bound why")
PER_SECOND, WITHIN, AT_MOST = "a second", "seconds an iteration", "at most"
ABSOLUTE = (PER_SECOND, WITHIN, AT_MOST)
DURABLE_PEERS = ("sqlite", "leveldb", "rocksdb", "lmdb")
ROOM_PEERS = ("y_websocket", "hocuspocus")
GOALS = [
    Goal("core/crc32c/checksum/bytes:4096", PER_SECOND, 10e9, "10 GB/s by the CPU's instructions"),
    Goal("core/crc32c/by_tables/bytes:4096", PER_SECOND, 2e9, "2 GB/s without them"),
    Goal("backoff/backoff/full_jitter_draw", "generator", 1 / 1.5, "within 1.5x of its generator's own draw"),
    Goal("backoff/backoff/full_jitter_draw", "standard_library", 3.0, "3x mt19937 + uniform_int_distribution"),
    Goal("backoff/backoff/full_jitter_draw", PER_SECOND, 1 / 3e-9, "a draw in 3 ns"),
    Goal("backoff/backoff/smooth_jitter_draw", PER_SECOND, 1 / 25e-9, "a draw in 25 ns"),
    *(Goal(f"policy/any_policy/run/failures:{n}", "static_policy", 1 / 3, "within 3x of the policy as a type") for n in (0, 3)),
    *(Goal(f"policy/stability/attempt{kind}", "no_policy", 1 / 3, "within 3x of the model without a policy")
      for kind in ("", "_with_budget", "_of_four")),
    Goal("breaker/circuit_breaker/acquire_success", WITHIN, 5e-9, "5 ns while closed, without the clock"),
    Goal("breaker/circuit_breaker/acquire_success", "mutex", 2.0, "also where two threads share it: 2x a mutex"),
    Goal("journal/journal/append_one_by_one", "raw", 0.97, "0.97 of preallocated pwrite + fdatasync"),
    *(Goal("journal/journal/append_one_by_one", peer, 1.25, "1.25x the best peer") for peer in DURABLE_PEERS),
    Goal("journal/journal/append_by_hundreds", "raw", 0.75, "0.75 of one pwrite + fdatasync"),
    Goal("journal/journal/append_by_hundreds", "leveldb", 1.3, "1.3x LevelDB's WriteBatch"),
    Goal("journal/journal/group_commit", "leveldb", 1.5, "1.5x LevelDB's, whatever the number of threads"),
    Goal("journal/journal/group_commit/threads:16", "sqlite", 4.0, "16 threads: 4x SQLite's commit per operation"),
    *(Goal("journal/journal/pop", peer, 1.25, "1.25x the best peer") for peer in DURABLE_PEERS),
    Goal("journal/journal/append_buffered", "leveldb", 5.0, "5x LevelDB without sync"),
    Goal("journal/journal/open_tail", WITHIN, 10e-3, "a million operations in 10 ms, sealed segments by their seals"),
    Goal("journal/journal/open_everything", WITHIN, 80e-3, "in 80 ms with every checksum"),
    Goal("journal/journal/open_everything", "leveldb", 2.0, "2x LevelDB's recovery of the same operations"),
    Goal("journal/journal/index_in_memory", AT_MOST, 8, "8 bytes of memory for each that waits"),
    Goal("journal/journal/framing_on_disk", AT_MOST, 32, "32 bytes of framing for each"),
    Goal("journal/journal/disk_beyond_live", AT_MOST, 2, "two segments beyond what waits"),
    Goal("work/key_window/in_memory", AT_MOST, 24, "24 bytes of memory for each key"),
    Goal("work/work_queue/open", WITHIN, 200e-3, "a million items read and checked in 200 ms"),
    Goal("work/key_window/add", WITHIN, 25e-9, "a key hashed, looked for and remembered in 25 ns"),
    Goal("queue/ring/push_pop", "boost_spsc", 1.0, "as fast as boost::lockfree::spsc_queue"),
    Goal("queue/ring/push_pop", "plain_array", 1 / 1.1, "within 1.1x of an array and two indices"),
    Goal("queue/deque/push_pop", "std_deque", 1.0, "as fast as std::deque"),
    Goal("queue/spsc_ring/pass_8_bytes", "boost_spsc", 1.1, "1.1x boost::lockfree::spsc_queue"),
    Goal("queue/spsc_ring/pass_8_bytes", "readerwriterqueue", 1.1, "1.1x moodycamel's ReaderWriterQueue"),
    Goal("queue/spsc_ring/pass_8_bytes", "atomic_queue", 1.1, "1.1x atomic_queue"),
    Goal("queue/spsc_ring/pass_64_bytes", "boost_spsc", 0.95, "0.95 of boost::lockfree::spsc_queue"),
    Goal("queue/spsc_ring/pass_64_bytes", "readerwriterqueue", 0.95, "0.95 of moodycamel's ReaderWriterQueue"),
    Goal("queue/spsc_ring/pass_64_bytes", "atomic_queue", 0.95, "0.95 of atomic_queue"),
    Goal("queue/spsc_ring/batches_of_32", "single", 2.0, "2x its own single values"),
    Goal("queue/mpmc_ring/pass_2_to_2_8_bytes", "concurrentqueue", 1.2, "1.2x moodycamel's ConcurrentQueue"),
    Goal("queue/mpmc_ring/pass_2_to_2_8_bytes", "boost_queue", 5.0, "5x boost::lockfree::queue"),
    Goal("queue/mpmc_ring/push_pop", PER_SECOND, 1e8, "an uncontended push and pop within 10 ns"),
    Goal("beast/websocket/echo", "by_hand", 0.9, "0.9 of Beast by hand"),
    Goal("link/handle/post", "mutex", 1.5, "1.5x a queue under a mutex with a condition variable"),
    Goal("link/mass_reconnect/peak_after", AT_MOST, 1.2, "1.2 % of all clients within 100 ms of each other, server back"),
    Goal("link/mass_reconnect/dials", AT_MOST, 6.5, "6.5 dials for each client, 20 s without a server"),
    Goal("fleet/fleet/idle", AT_MOST, 1400, "1.4 kB for a service that is idle"),
    Goal("sync/memory_store/batches_of_1000", PER_SECOND, 1e6, "a million operations per second"),
    Goal("sync/memory_store/batches_of_1000", "unordered_map", 0.5, "0.5 of the same writes into a bare hash table"),
    Goal("sync/sqlite_store/batches_of_1000", "by_hand", 1 / 1.3, "within 1.3x of the statements by hand"),
    Goal("sync/memory_store/causal_batches_of_1000", "unordered_map", 0.25,
         "0.25 of the same writes into a bare hash table"),
    Goal("sync/memory_store/in_memory", AT_MOST, 120, "120 bytes for an element of 8 bytes"),
    Goal("sync/replica/edit", "journal", 0.9, "0.9 of the bare journal's append and commit"),
    Goal("sync/replica/first_sync", "process_batch", 0.5, "0.5 of process_batch over the same elements"),
    Goal("sync/applied_ids/in_memory", AT_MOST, 56, "56 bytes for an id that is remembered"),
    Goal("yjs/update/merge_typing/structs:10000", "yjs", 10.0, "10x Y.mergeUpdates under node"),
    Goal("yjs/update/merge_editors/structs:1000", "yjs", 10.0, "10x Y.mergeUpdates under node"),
    Goal("yjs/update/merge_typing/structs:10000", "ywasm", 1.0, "as fast as ywasm, which applies and encodes"),
    Goal("yjs/update/typed_10000", "yjs", 1 / 1.05, "1.05x of Y.encodeStateAsUpdate"),
    Goal("room/servers/edit_to_20_p99", AT_MOST, 20, "20 ms to the last of 20 peers, on the disk before"),
    # The median of all pairs of one round: the time of a flush changes more than the servers differ.
    *(Goal(f"room/servers/edit_to_20_{what}", f"{peer}_and_fsync", 1.0, "no slower than it and a flush of the disk")
      for what in ("in_pairs", "p99") for peer in ROOM_PEERS),
    *(Goal(f"room/servers/edit_to_20_unsynced_{share}", peer, 1.0, "no slower, where neither waits for the disk")
      for share in ("p50", "p99") for peer in ROOM_PEERS),
    *(Goal("room/servers/burst_3_mb_to_20", peer, 1.0, "as fast, although it waits for the disk")
      for peer in ROOM_PEERS),
    *(Goal(f"room/servers/cpu_per_delivery_{n}_writing", peer, 5.0, "a fifth of its processor time, 100 clients")
      for n in (1, 10) for peer in ROOM_PEERS),
    Goal("room/servers/stalled_client", AT_MOST, 1.18, "1.18 MB: its budget and a frame, 1.07 MB, and a tenth for the allocator"),
    Goal("room/servers/idle_room", "hocuspocus", 5.0, "a fifth of its memory for a room"),
    Goal("room/servers/reconnect_1_mb", AT_MOST, 10_000, "10 kB for a document that has not changed"),
    Goal("sim/world/events", "bare_queue", 0.3, "0.3 of a bare priority queue, with the hash of all that happens"),
    Goal("sim/world/timers", "bare_queue", 0.3, "0.3 of a bare priority queue, for functions of a host that can be cancelled"),
    Goal("sim/world/of_300_events", "one_long_world", 0.5, "half as fast as one long world: what it costs to start one"),
    Goal("sim/world/events", PER_SECOND, 1e6, "a million events per second"),
    Goal("sim/world/hour_of_outages", WITHIN, 1.0, "an hour of outages within a second"),
]

OURS = "belay"
# What Google Benchmark appends to a name: /payload_bytes:256, /8, /threads:16, /real_time, /manual_time, ...
SUFFIX = re.compile(r"/(?:[\w-]+:[^/]+|\d+|real_time|process_time|manual_time)$")
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def split_name(name):
    """(operation, arguments, implementation) of a benchmark's full name."""
    arguments = ""
    while match := SUFFIX.search(name):
        name = name[: match.start()]
        if not re.fullmatch(r"/(?:iterations|repeats|min_time|min_warmup_time):.*|/\w+_time", match[0]):
            arguments = match[0] + arguments
    operation, _, implementation = name.rpartition("/")
    return operation, arguments, implementation


# What is counted and not timed: the benchmark's counter, and its unit. Less is better.
SIZES = {"bytes_each": "bytes each", "segments": "segments", "percent_at_once": "% at once", "dials_each": "dials each",
         "seconds_after": "seconds", "allocations_each": "allocations", "milliseconds": "ms",
         "microseconds_each": "us each", "megabytes": "MB", "bytes_in_all": "bytes", "frames_each": "frames each",
         "of_belay_in_its_round": "of belay's time"}

# One implementation of one operation: how much it does in a second, of what, seconds for one iteration; and the speed in
# each run of the program. Of what is counted and not timed the size is in the place of the speed.
Result = collections.namedtuple("Result", "speed unit seconds speeds")


def measured(run):
    seconds = run["real_time"] * NANOSECONDS[run["time_unit"]] / 1e9
    for counter, unit in (("items_per_second", "items"), ("bytes_per_second", "bytes")):
        if counter in run:
            return Result(run[counter], unit, seconds, (run[counter],))
    for counter, unit in SIZES.items():
        if counter in run:
            return Result(run[counter], unit, seconds, (run[counter],))
    return Result(1 / seconds, "calls", seconds, (1 / seconds,))


def is_size(result):
    return result.unit in SIZES.values()


def medians(runs):
    """{(operation, arguments): {implementation: Result}}, in the order of the programs."""
    samples = {}
    for run in runs:
        if run.get("run_type") == "aggregate" or run.get("error_occurred"):
            continue
        operation, arguments, implementation = split_name(run["run_name"])
        by_name = samples.setdefault((operation, arguments), {})
        by_name.setdefault(implementation, []).append(measured(run))
    return {group: {name: median(found) for name, found in by_name.items()} for group, by_name in samples.items()}


def median(results):
    speeds = [result.speed for result in results]
    seconds = [result.seconds for result in results]
    return Result(statistics.median(speeds), results[0].unit, statistics.median(seconds), tuple(speeds))


def spread(values):
    """The quartiles, between which half of the values lie."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def ratios(ours, peer):
    """How many times as fast, or small, ours is in each run; of medians, where not both were measured in every run."""
    more, less = (peer, ours) if is_size(ours) else (ours, peer)
    if len(ours.speeds) != len(peer.speeds):
        return (more.speed / less.speed,)
    return tuple(a / b for a, b in zip(more.speeds, less.speeds))


def human(value):
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {suffix}"
    return f"{value:.3g}"


def human_time(seconds):
    for limit, suffix in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= limit:
            return f"{seconds / limit:.3g} {suffix}"
    return f"{seconds * 1e9:.3g} ns"


def table(results):
    rows = [("operation", "implementation", "speed or size", "+-", "iteration", "belay is", "half of the runs", "goal")]
    for (operation, arguments), by_name in results.items():
        ours = by_name.get(OURS)
        shown = operation + arguments
        for name in sorted(by_name, key=lambda n: n != OURS):
            result = by_name[name]
            low, high = spread(result.speeds)
            ratio, says, between = None, "another unit" if ours and name != OURS else "", ""
            if ours and name != OURS and ours.unit == result.unit:
                all_ratios = ratios(ours, result)
                ratio = statistics.median(all_ratios)
                says = f"{ratio:.2f}x"
                between = "{:.2f} to {:.2f}".format(*spread(all_ratios))
            if is_size(result):
                measure = (f"{human(result.speed)} {result.unit}", "", "")
            else:
                measure = (f"{human(result.speed)} {result.unit}/s", f"{50 * (high - low) / result.speed:.0f} %",
                           human_time(result.seconds))
            rows.append((shown, name, *measure, says, between, verdict(operation, arguments, name, result, ratio)))
            shown = ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    form = "{:<{w[0]}}  {:<{w[1]}}  {:>{w[2]}}  {:>{w[3]}}  {:>{w[4]}}  {:>{w[5]}}  {:>{w[6]}}  {:<{w[7]}}"
    return [form.format(*row, w=widths).rstrip() for row in rows]


def verdict(operation, arguments, name, result, ratio):
    """What the goals say about a result; the one for its arguments before the one for all."""
    for wanted in (operation + arguments, operation):
        for goal in GOALS:
            if goal.operation != wanted:
                continue
            if goal.peer == PER_SECOND and name == OURS:
                return f"{met(result.speed >= goal.bound)}: {goal.why}"
            if goal.peer == WITHIN and name == OURS:
                return f"{met(result.seconds <= goal.bound)}: {goal.why}"
            if goal.peer == AT_MOST and name == OURS:
                # As it is shown: how the allocator rounds the whole up is not what the goal is about.
                shown = float(f"{result.speed:.3g}")
                return f"{met(shown <= goal.bound)}: at most {goal.why}"
            if goal.peer == name and ratio is not None:
                return f"{met(ratio >= goal.bound)}: at least {goal.bound:.2f}x ({goal.why})"
    return ""


def met(yes):
    return "met" if yes else "NOT MET"


def unmeasured(results):
    """Goals for which no benchmark ran: a renamed benchmark must not hide its goal."""
    for goal in GOALS:
        absolute = goal.peer in ABSOLUTE
        wanted = {OURS} if absolute else {OURS, goal.peer}
        if not any(goal.operation in (operation, operation + arguments) and wanted <= by_name.keys()
                   for (operation, arguments), by_name in results.items()):
            against = "" if absolute else f" against {goal.peer}"
            yield f"not measured: {goal.operation}{against} ({goal.why})"


def run_program(program, options):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [
            program,
            f"--benchmark_min_time={options.min_time}",
            f"--benchmark_filter={options.filter}",
            f"--benchmark_out={out.name}",
            "--benchmark_out_format=json",
        ]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            print(f"{program} failed with exit code {done.returncode}", file=sys.stderr)
            return None
        text = out.read()
        return json.loads(text)["benchmarks"] if text else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--min-time", type=float, default=0.1)
    parser.add_argument("--filter", default=".")
    parser.add_argument("--json", help="write every single run to this file")
    parser.add_argument("programs", nargs="+")
    options = parser.parse_args()

    runs, failed = [], False
    for turn in range(options.repetitions):
        for program in options.programs:
            print(f"running {program.rsplit('/', 1)[-1]}, {turn + 1} of {options.repetitions}", flush=True)
            found = run_program(program, options)
            failed = failed or found is None
            runs += found or []
        if failed:
            break
    broken = [run for run in runs if run.get("error_occurred")]
    for run in broken:
        print(f"{run['name']}: {run.get('error_message')}", file=sys.stderr)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(runs, file, indent=1)

    results = medians(runs)
    print(f"\nmedians of {options.repetitions} runs, ratios within each; above 1x belay is faster, or smaller\n")
    print("\n".join(table(results)))
    if options.filter == ".":
        print("\n".join(unmeasured(results)))
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
