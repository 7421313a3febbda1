#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing: plants faults in copies of the headers, one at a time; the test that each fault names must fail.

    mutants.py [--all | --only NAME... | --since COMMIT [--most N]] [--jobs N] [--compiler NAME] [--root DIR]
    mutants.py --list
    mutants.py --write NAME DIRECTORY      writes include/ with this fault in it, for another build

Without --all or --only, N mutants (ten unless told otherwise) of what changed since COMMIT run; without one, of everything.
A mutant is one or more changes of headers. The text of a change must occur exactly
once in its file: a header that was edited never makes a mutant harmless unseen. The named test must pass with the
headers as they are. With the changed headers it must compile, and end in time with a failed CHECK or REQUIRE; an
exception, a crash or a time limit does not count. If the mutant names a property, that property must be what fails. The
last line is "N passed, N failed", one for each mutant that ran.

mutants_test.py plants what this script must refuse.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import changes

Change = collections.namedtuple("Change", "file text replacement")
Test = collections.namedtuple("Test", "source cases seeds", defaults=[None])  # seeds: BELAY_SEEDS
# property: what the failed check must say, for a mutant of a world; any failed check finds the others.
Mutant = collections.namedtuple("Mutant", "name changes test property", defaults=[""])

FLAGS = ("-std=c++20", "-O0", "-DBELAY_ASSERTIONS=1", "-Itests")
# Of processor time. Only for tests that hang: 2,000 seeds of a world take up to 30 s.
RUN_SECONDS_MAX = 180
COMPILE_SECONDS_MAX = 300
WAIT_FACTOR = 20  # of these, for what hangs and waits: other work may take most of the machine
MOST = 10

# ---- the faults --------------------------------------------------------------------------------------------------

CORE = "belay/link/supervisor_core.hpp"
RECEIVER = "belay/session/receiver.hpp"
RECONCILIATION = "belay/sync/detail/scene_reconciliation.hpp"
BRIDGE_ENGINE = "belay/sync/detail/bridge_engine.hpp"
POOL = "belay/fleet/pool.hpp"
LEASING = "belay/work/work_queue.hpp"
SCHEDULER = "belay/fleet/detail/dial_scheduler.hpp"
RECEIVER_CORE = "belay/session/detail/receiver_core.hpp"
SENDER_CORE = "belay/session/detail/sender_core.hpp"
EDITS = "belay/room/detail/room_edits.hpp"
ITEMS = "belay/work/detail/work_items.hpp"
REQUESTS = "belay/link/requests.hpp"
BREAKER_CORE = "belay/breaker/detail/breaker_core.hpp"
DELIVERY = "belay/room/detail/room_delivery.hpp"
REPLICATION = "belay/room/detail/room_replication.hpp"
ROOM_STATE = "belay/room/detail/room_state.hpp"
ROOM_SCHEDULER = "belay/room/detail/persistence_scheduler.hpp"

EXPLORATION = Test("tests/link/exploration.test.cpp",
                   "SupervisorCore keeps its contract after every sequence of events - RecyclingProbe")


def worlds(case, seeds=None):
    return Test("tests/session/planted_fault.test.cpp", case, seeds)


KILLS = "Session delivers each operation once while both sides are killed often"
KILLED = worlds(KILLS)
KILLED_OFTEN = worlds(KILLS, 2500)
SLOW_NETWORK = worlds("Session delivers each operation once over a slow network", 5000)
SERVER_LOST = worlds("Session reports the loss of the server's disk")
CLIENT_LOST = worlds("Session continues after the loss of the client's disk")
CLIENT_RESTORED = worlds("Session reports that the client's disk went back to an older copy")


def frames(name, cases="*"):
    """A test that plays the other side frame by frame."""
    return Test(f"tests/session/{name}.test.cpp", cases)


# Changes that more than one mutant has.
NO_FENCE = (
    Change(RECEIVER, "        fence(peer);\n        if (!settle()) return;\n        const auto settled",
           "        if (!settle()) return;\n        const auto settled"),
    Change(RECEIVER_CORE, "        return attached_ == connection;\n",
           "        return attached_ == connection || true;\n"),
)
NO_DUPLICATE_CHECK = (
    Change(RECEIVER_CORE, "        if (f.number <= progress_.applied) return Data::skip;\n"
                          "        return f.number == progress_.applied + 1 ? Data::apply : Data::gap;\n",
           "        return Data::apply;\n"),
)
RESEND_FROM_ACKED = (
    Change(SENDER_CORE, "            if (const std::error_code e = release(g.applied)) return e;\n", ""),
    Change(SENDER_CORE, "window_.resume(applied + 1, credit);",
           "window_.resume((static_cast<void>(applied), acked()) + 1, credit);"),
)
ACCEPT_UNKNOWN_JOURNAL = (
    Change(RECEIVER_CORE, "        if (h.base > 1 || h.pinned_store != no_id) {", "        if (false) {"),
    Change(RECEIVER_CORE, "                .applied = 0,\n"
                          "                .check = journal_format::first_check(h.journal)};",
           "                .applied = h.base - 1,\n"
           "                .check = h.base == 1 ? journal_format::first_check(h.journal) : h.check};"),
)
NEVER_PIN = (
    Change(SENDER_CORE, "journal_->durable(), journal_->store_pin()};", "journal_->durable(), no_id};"),
    Change(SENDER_CORE, "const std::error_code e = journal_->pin_store(store);\n", "const std::error_code e;\n"),
)
ADOPT_WITH_OLD_ATTACH = (
    Change(RECEIVER, "const Progress record = Core::adoption(peer.hello);",
           "Progress record = Core::adoption(peer.hello);\n        if (old) record.attach = old->attach;"),
)

SESSION_MUTANTS = (
    # serve every connection
    Mutant("no_fence", NO_FENCE, frames("receiver")),
    # apply all DATA
    Mutant("no_duplicate_check", NO_DUPLICATE_CHECK, frames("receiver")),
    # each of the two covers for the other in the worlds
    Mutant("no_fence_and_no_duplicate_check", NO_FENCE + NO_DUPLICATE_CHECK, SLOW_NETWORK),
    # WELCOME before begun work is durable
    Mutant("resume_unsettled",
           (Change(RECEIVER, "        if (!settle()) return;\n        const auto settled", "        const auto settled"),),
           KILLED_OFTEN),
    # ACK what is only applied
    Mutant("ack_before_commit",
           (Change(RECEIVER, "if (failed_ || must_commit()) return;", "if (failed_) return;"),), KILLED),
    # a time that is out of reach counts as no commit
    Mutant("ack_before_a_commit_without_time",
           (Change(RECEIVER, "return !failed_ && senders_.has_begun();",
                   "return !failed_ && senders_.has_begun() && commit_at_ != never;"),),
           frames("receiver", "Receiver acknowledges no operation before its commit, however long commit_within is")),
    # adopt a journal at HELLO, not at START
    Mutant("adopt_at_hello",
           (Change(RECEIVER, "        if (answer.greeting == Core::Greeting::pend) {\n"
                             "            if (!may_pend(peer)) return;\n",
                   "        if (false) {\n            if (!may_pend(peer)) return;\n"),
            Change(RECEIVER, "        fence(peer);\n        if (!settle()) return;\n        const auto settled",
                   "        if (answer.greeting == Core::Greeting::pend) {\n"
                   "            adopt(peer, *sender);\n"
                   "            return welcome(peer, sender->core.attach(peer.id, h,\n"
                   "                                                     sender->core.progress()));\n"
                   "        }\n"
                   "        fence(peer);\n        if (!settle()) return;\n        const auto settled")),
           frames("receiver", "Receiver keeps a fresh journal when a dead one's HELLO arrives late")),
    # the record of a new journal keeps the attach of the old one
    Mutant("adopt_with_old_attach", ADOPT_WITH_OLD_ATTACH, CLIENT_LOST),
    Mutant("adopt_with_old_attach_by_frames", ADOPT_WITH_OLD_ATTACH,
           frames("receiver", "Receiver serves a fresh journal after one that was opened often")),
    # adopt an unknown journal that does not begin at 1
    Mutant("accept_unknown_journal", ACCEPT_UNKNOWN_JOURNAL, frames("receiver_core")),
    # follow any store
    Mutant("never_pin", NEVER_PIN, frames("sender_core")),
    # either of the two is enough to find a lost store
    Mutant("accept_unknown_journal_and_never_pin", ACCEPT_UNKNOWN_JOURNAL + NEVER_PIN, SERVER_LOST),
    # compare no checks
    Mutant("no_check",
           (Change(SENDER_CORE, "const SenderFacts mine{acked(), journal_->durable(),",
                   "const SenderFacts mine{acked(), g.applied,"),
            Change(SENDER_CORE, "            if (const std::error_code e = compare_check(g)) return e;\n", "")),
           CLIENT_RESTORED),
    # resume from the sender's memory, not from the receiver's number
    Mutant("resume_from_memory",
           (Change(SENDER_CORE, "window_.resume(applied + 1, credit);",
                   "window_.resume(larger(window_.next(), applied + 1), credit);"),), KILLED),
    # resume from what was acknowledged
    Mutant("resend_from_acked", RESEND_FROM_ACKED, frames("sender_core")),
    # what is sent twice is applied twice
    Mutant("resend_from_acked_and_no_duplicate_check", RESEND_FROM_ACKED + NO_DUPLICATE_CHECK, KILLED),
    # pin the store at WELCOME, not at the first ACK
    Mutant("pin_at_welcome",
           (Change(SENDER_CORE, "        if (g.replaces) ++replacements_;\n",
                   "        if (const std::error_code e = pin_store(g.store)) return e;\n"
                   "        if (g.replaces) ++replacements_;\n"),), KILLED),
)


def core(name, *changes):
    return Mutant(name, tuple(Change(CORE, text, replacement) for text, replacement in changes), EXPLORATION)


SUPERVISOR_MUTANTS = (
    # a stop leaves an attempt in flight alive
    core("stop_keeps_dial",
         ("        leave_connection(turn);\n        abandon(turn);\n        floor_ = not_before_ = always;\n",
          "        if (status_.state != LinkState::connecting) leave_connection(turn);\n"
          "        abandon(turn);\n        floor_ = not_before_ = always;\n")),
    # so does a gate that shuts
    core("gate_keeps_dial",
         ("        leave_connection(turn);\n        abandon(turn);\n        enter(LinkState::offline, never, turn);\n",
          "        if (status_.state != LinkState::connecting) leave_connection(turn);\n"
          "        abandon(turn);\n        enter(LinkState::offline, never, turn);\n")),
    # reconnect_now() dials although a connection is open
    core("redial_beside",
         ("                leave_connection(turn);\n"
          "                status_.failure = {};\n",
          "                status_.failure = {};\n")),
    # a connection counts as stable when it opens: accept-then-drop is no failure
    core("succeeds_at_open",
         ("        enter(LinkState::connected, never, turn);\n",
          "        mark_stable(turn);\n        enter(LinkState::connected, never, turn);\n")),
    # a late tick makes the loss of a stable connection a failure
    core("stable_by_tick_only",
         ("            mark_stable_if_due(turn);\n            go_down(1, turn);\n        } else if (!s.withdrawn",
          "            go_down(1, turn);\n        } else if (!s.withdrawn")),
    # a frozen peer counts as a success when its connection is old enough
    core("success_without_evidence",
         ("        if (begun_ && alive_ && turn.now >= stable_at()) mark_stable(turn);\n",
          "        if (begun_ && turn.now >= stable_at()) mark_stable(turn);\n")),
    # a server that closes each new connection as planned chooses the rate of dials
    core("planned_costs_nothing",
         ("        if (failure.cause == Cause::planned && is_new) failure.cause = Cause::lost;\n", "")),
    # a peer that never sends anything fails a link by old losses
    core("old_losses_fail",
         ("        if (begun_ && state == LinkState::connected && turn.now >= stable_at()) {\n",
          "        if (false) {\n")),
    # refused dials add up over a month of a quiet link
    core("refused_dials_add_up",
         ("            if (s.unprobed && !s.withdrawn) {\n", "            if (false) {\n")),
    # refused credentials are tried for ever
    core("retries_unauthorized",
         ("if (is_rejected && !(goes_on && planned_)) {", "if (false) {")),
    # so is a server that has rejected this side for good
    core("retries_final_failures", ("if (is_final && !goes_on) {", "if (false) {")),
    # a final failure of one endpoint ends the link
    core("ignores_other_endpoints", ("s.has_alternative && begun_;", "false;")),
    # a user who was removed is rejected by every endpoint in turn
    core("leaves_stable_endpoint", ("s.has_alternative && begun_;", "s.has_alternative;")),
    # an attempt lasts until the server ends it
    core("no_attempt_limit",
         ("            case LinkState::connecting:\n            case LinkState::draining:\n"
          "                return attempt_ends_;\n",
          "            case LinkState::connecting:\n                return never;\n"
          "            case LinkState::draining:\n                return attempt_ends_;\n")),
    # a gate forgets the wait that a server asked for
    core("gate_forgets_wait",
         ("        not_before_ = detail::larger(floor_, status_.retry_at == never ? always : status_.retry_at);\n",
          "        not_before_ = floor_ = always;\n")),
    # reconnect_now() attempts during the wait that a server asked for, also without force
    core("manual_passes_floor",
         ("return detail::smaller(status_.retry_at, detail::larger(allowed, floor_));",
          "return detail::smaller(status_.retry_at, allowed);")),
    # reconnect_now() attempts as often as it is called
    core("manual_without_gap", ("manual_at_ == always || force", "manual_at_ == always || force || true")),
    # an attempt that neither failed nor succeeded is not given back to the policy
    core("keeps_permit",
         ("if (begun_ || planned_) policy_.abandoned(turn);", "if (planned_) policy_.abandoned(turn);")),
    # a gate that opens leads to an attempt without a wait
    core("opens_into_dial",
         ("        const Instant spread = jitter(times_.spread_within, turn);\n",
          "        if (status_.state == LinkState::offline) return attempt(false, turn);\n"
          "        const Instant spread = jitter(times_.spread_within, turn);\n")),
    # a drain waits for ever
    core("drains_for_ever",
         ("            attempt_ends_ = ends;\n", "            attempt_ends_ = never;\n")),
    # a second drain can prolong the first
    core("drain_prolongs",
         ("            attempt_ends_ = detail::smaller(attempt_ends_, ends);\n", "            attempt_ends_ = ends;\n")),
    # a connection outlives its credentials although `recycle` is set
    core("keeps_credentials",
         ("return recycles_ && fresh_credentials_ && status_.state == LinkState::connected;", "return false;")),
    # a delayed message is released, and the next one waits for ever
    Mutant("chaos_keeps_delayed_messages",
           (Change("belay/link/chaos_transport.hpp",
                   "            noting_ = false;\n            note_if_due(now);\n", ""),),
           Test("tests/link/chaos_transport.test.cpp",
                "chaos::Transport releases every message that is due although its mailbox is full")),
)



def explored(world, name, property, *changes):
    """A fault that the world of these parts finds within 2,000 seeds: this property does not hold."""
    return Mutant(f"{world}_{name}", tuple(Change(*change) for change in changes),
                  Test(f"tests/worlds/{world}.test.cpp", "*", 2000), property)


def rooms(name, property, *changes):
    """A fault that the world of rooms finds within 200 seeds, as it takes longer than the others."""
    return Mutant(f"rooms_{name}", tuple(Change(*change) for change in changes),
                  Test("tests/worlds/rooms.test.cpp",
                       "Rooms of several servers lose no shown edit under kills, pauses and slow links", 200), property)


def restored(name, property, *changes):
    """A fault that the world finds in which the storage of the rooms loses data, likewise."""
    return Mutant(f"rooms_restored_{name}", tuple(Change(*change) for change in changes),
                  Test("tests/worlds/rooms.test.cpp", "Servers restore what the storage of their rooms has lost", 200),
                  property)


def replicas(name, property, *changes):
    """A fault that the world of replicas finds."""
    return explored("sync", name, property, *changes)


TAKES_SILENCE_FOR_AN_ANSWER = (
    ("belay/sync/remote_sync_server.hpp",
     "                for (const std::size_t i : sent) fail(made, batch[i], outcomes.error(), true);\n",
     "                made.synced_count += sent.size();\n"),
    ("belay/sync/remote_sync_server.hpp",
     "                if (made.synced_count + made.conflicts.size() + made.failed_operations.size() == 0)\n"
     "                    return outcomes.error();\n", ""))
SAME_SCOUT = ("belay/fleet/fleet.hpp", "if (next == nullptr || (rank != next_rank ? rank > next_rank : earlier)) {",
              "if (static_cast<void>(earlier), next == nullptr) {")
SLOW_DIALS_WITHOUT_LIMIT = ("belay/fleet/detail/dial_scheduler.hpp",
                            "            if (slow.is_taken()) return entry;\n", "")
APPLIES_TWICE = (RECEIVER, "        detail::ScopeExit guard{[&] { peer.link.abort(); }};\n",
                 "        static_cast<void>(ledger_.apply(sender->id, after_it, frame.payload));\n"
                 "        detail::ScopeExit guard{[&] { peer.link.abort(); }};\n")
IGNORES_RECONNECT_NOW = ("belay/fleet/fleet.hpp",
                         "return entry != nullptr ? entry->ops->reconnect(*entry, force) : Reconnect{};",
                         "return entry != nullptr && force ? entry->ops->reconnect(*entry, force) : Reconnect{};")
KEEPS_ABANDONED_PROBES = (BREAKER_CORE, "if (generation != generation_ || out_ == 0) return;\n        --out_;",
                          "if (generation != generation_ || out_ == 0) return;")
LEASES_END_EARLY = (LEASING, "if (slot.when > items_.clock().now) return;",
                    "if (slot.when > after(items_.clock().now, options().lease / 2)) return;")
LEASES_NEVER_END = (LEASING, "if (slot.when > items_.clock().now) return;",
                    "if (slot.when > items_.clock().now || slot.state == WorkItem::State::leased) return;")
DROPS_DEAD_LETTERS = (LEASING,
                      "return letters.make_dead(queue, items_, item, DeathCause::failed, {stored, true});",
                      "return items_.finish(table().place_of(lease.slot)), items_.failed();")
FLUSH_NO_MORE = ((ROOM_SCHEDULER,
                  "        for (RoomBase* const room : ended_.later) static_cast<void>(room->pending.unqueue());\n", ""),
                 (EDITS, "                parts_.scheduler.unqueue(room);\n", ""))
COVERS_NO_OWN_EDITS = (EDITS, "        if (!state.covers_entries()) return;",
                       "        if (!state.covers_entries() || ours) return;")


WORLD_MUTANTS = (
    # an Endpoints stays at its first endpoint
    explored("session", "never_fails_over", 'eventually "every order is acknowledged"',
             ("belay/link/endpoints.hpp", "place_ = place_ + 1 < list_.size() ? place_ + 1 : 0;", "place_ = 0;")),
    # a load balancer that answers pings proves that the receiver is alive
    explored("session", "believes_pongs", 'eventually "every order is acknowledged"',
             ("belay/link/supervisor.hpp", "event.kind == part::EventKind::pong && event.code == 0;", "false;")),
    explored("session", "ack_before_commit", 'always "the rules of the parts"',
             (RECEIVER, "if (failed_ || must_commit()) return;", "if (failed_) return;")),
    explored("session", "applies_twice", 'require "exactly once, and in order"',
             (RECEIVER, "in_ledger([&] { return ledger_.apply(sender->id, after_it, frame.payload); })",
              "in_ledger([&] { static_cast<void>(ledger_.apply(sender->id, after_it, frame.payload)); return "
              "ledger_.apply(sender->id, after_it, frame.payload); })")),
    explored("session", "one_attempt_more", 'always "the rules of the parts"',
             ("belay/policy/rules.hpp", "return failures_ >= most_ ? Advice::stop() : Advice::go();",
              "return failures_ > most_ ? Advice::stop() : Advice::go();"),
             ("belay/policy/rules.hpp", "failures_ < most_) ++failures_;", "failures_ <= most_) ++failures_;")),
    explored("session", "gives_up_a_silent_peer_late", 'always "the rules of the parts"',
             ("belay/link/heartbeat_options.hpp", "lost_at_ = after(now, options_.dead_after);",
              "lost_at_ = after(now, 4 * options_.dead_after);")),
    # the breaker and the backoff each bound it
    explored("session", "waits_without_breaker_or_growth", 'always "bounded rate of dials"',
             ("belay/breaker/detail/breaker_core.hpp",
              "            return now >= until_ ? Advice::go() : Advice::suspend(until_);\n",
              "            return Advice::go();\n"),
             ("belay/backoff/backoff.hpp", "Duration wait = planned ? first(turn.bits) : next(turn.bits);",
              "Duration wait = first(turn.bits);")),
    explored("session", "breaker_never_opens", 'always "bounded rate of dials"',
             ("belay/breaker/detail/breaker_core.hpp",
              "            return now >= until_ ? Advice::go() : Advice::suspend(until_);\n",
              "            return Advice::go();\n")),

    explored("session_standby", "never_fails_over", 'eventually "every payment is acknowledged"',
             ("belay/link/endpoints.hpp", "place_ = place_ + 1 < list_.size() ? place_ + 1 : 0;", "place_ = 0;")),
    # a former active server promises what it has in memory
    explored("session_standby", "welcomes_from_memory", 'always "no session is blocked"',
             (RECEIVER, "sender->core.attach(peer.id, h, settled.value_or(Progress{}))",
              "sender->core.attach(peer.id, h,\n"
              "                                          known != nullptr ? sender->core.progress()\n"
              "                                                           : settled.value_or(Progress{}))")),
    explored("session_standby", "applies_twice", 'require "exactly once, and in order"', APPLIES_TWICE),

    explored("session_operators", "drains_at_once", 'always "the rules of a session"',
             ("belay/session/session.hpp", "return drain_.runs() && depth() == 0;", "return drain_.runs();")),
    # a receiver with a fresh ledger answers as if that had failed, too
    explored("session_operators", "stays_failed", 'eventually "every session has drained"',
             (RECEIVER, "        failed_.clear();\n", "")),
    explored("session_operators", "applies_twice", 'require "exactly once, and in order"',
             APPLIES_TWICE),

    # a session is blocked although its journal has lost nothing
    explored("session_denied", "gives_up_without_descriptors", 'always "the rules of the parts"',
             ("belay/session/session_format.hpp",
              "return error == QueueErrc::displaced || error.category() != queue_category();",
              "return error == QueueErrc::displaced;")),
    explored("session_denied", "flushes_once", 'eventually "every parcel is acknowledged"',
             ("belay/session/session.hpp", "flush_again_ = after(now_, flush_again_after);", "")),
    explored("session_denied", "applies_twice", 'require "exactly once, and in order"', APPLIES_TWICE),

    # EACCES counts as a rejection by the peer
    # a question that ends in the same turn as one whose answer throws
    explored("throwing_hooks", "forgets_an_ended_question", 'require "every question has ended, and no letter is lost"',
             (REQUESTS, "                ended.done(Answer::failure(ended.failure));\n",
              "                std::optional<decltype(ended)> other;\n"
              "                if (left > 1 && table_.ended() != 0) other.emplace(table_.take_ended());\n"
              "                ended.done(Answer::failure(ended.failure));\n"
              "                if (other) other->done(Answer::failure(other->failure));\n")),
    explored("throwing_hooks", "ack_before_commit", 'always "the rules of the parts"',
             (RECEIVER, "if (failed_ || must_commit()) return;", "if (failed_) return;")),
    explored("throwing_hooks", "sends_nothing_again", 'eventually "all is sent, and every connection is open"',
             ("belay/session/outbox.hpp", "std::exchange(next_, 0);", "next_;")),
    explored("throwing_hooks", "applies_twice", 'require "sessions deliver once, and in order"',
             (RECEIVER, "in_ledger([&] { return ledger_.apply(sender->id, after_it, frame.payload); })",
              "in_ledger([&] { static_cast<void>(ledger_.apply(sender->id, after_it, frame.payload)); return "
              "ledger_.apply(sender->id, after_it, frame.payload); })")),

    explored("outbox_bundle", "gives_up_without_permission", 'always "the rules of the parts"',
             ("belay/session/session_format.hpp", "        why.cause = Cause::overloaded;\n",
              "        why.cause = why.cause;\n")),
    explored("outbox_bundle", "waits_never_grow", 'always "bounded rate of dials"',
             ("belay/backoff/backoff.hpp", "Duration wait = planned ? first(turn.bits) : next(turn.bits);",
              "Duration wait = first(turn.bits);")),
    explored("outbox_bundle", "sends_nothing_again", 'eventually "all letters are done, and all lanes are open"',
             ("belay/session/outbox.hpp", "std::exchange(next_, 0);", "next_;")),
    explored("outbox_bundle", "sends_twice", 'require "the promise"',
             ("belay/session/outbox.hpp", "        switch (link_.send(*item.message)) {\n",
              "        if (window_.removes_before_sending()) static_cast<void>(link_.send(*item.message));\n"
              "        switch (link_.send(*item.message)) {\n")),

    # one dead host hides that the network is back
    explored("fleet", "sends_always_the_same_scout", 'eventually "every service whose host is well is connected"',
             SAME_SCOUT),
    explored("fleet", "blames_no_service", 'eventually "every service that fails for ever is reported"',
             (SCHEDULER, "pass_on(entry, entry.failure, false);", "pass_on(entry, entry.failure, true);")),
    explored("fleet", "slow_dials_without_limit", 'always "the limit of dials"', SLOW_DIALS_WITHOUT_LIMIT),
    explored("fleet", "suspects_with_one_service", 'always "the rules of a fleet"',
             (SCHEDULER, "return held.size() + silent >= options.suspects_min;", "return held.size() + silent >= 1;")),
    explored("fleet", "network_is_never_suspect", 'no world reached "a later scout"',
             (SCHEDULER, "if (up != 0 || proven_at >= first) return false;",
              "if (up != 0 || first != never) return false;")),

    # a service that was removed counts as a service
    explored("fleet_operators", "counts_removed_services", 'always "the rules of a fleet"',
             ("belay/fleet/fleet.hpp", "        --scheduler_->count(entry.counted);\n        retire(entry);\n",
              "        retire(entry);\n")),
    explored("fleet_operators", "slow_dials_without_limit", 'always "the limit of dials"', SLOW_DIALS_WITHOUT_LIMIT),
    explored("fleet_operators", "ignores_reconnect_now",
             'eventually "every service is connected, and nothing waits"', IGNORES_RECONNECT_NOW),

    explored("fleet_sessions", "ack_before_commit", 'always "no session is blocked"',
             (RECEIVER, "if (failed_ || must_commit()) return;", "if (failed_) return;")),
    explored("fleet_sessions", "resends_and_applies_twice", 'require "exactly once, and in order"',
             *RESEND_FROM_ACKED, *NO_DUPLICATE_CHECK),
    explored("fleet_sessions", "resume_from_memory", 'always "no session is blocked"',
             (SENDER_CORE, "window_.resume(applied + 1, credit);",
              "window_.resume(larger(window_.next(), applied + 1), credit);")),
    explored("fleet_sessions", "sends_always_the_same_scout", 'eventually "servers that are well have all parcels"',
             SAME_SCOUT),
    explored("fleet_sessions", "ignores_reconnect_now", 'eventually "all servers have all parcels"',
             IGNORES_RECONNECT_NOW),
    explored("fleet_sessions", "network_is_never_suspect", 'no world reached "network suspect"',
             (SCHEDULER, "if (up != 0 || proven_at >= first) return false;",
              "if (up != 0 || first != never) return false;")),

    explored("work", "leases_end_early", 'always "the rules of leases"', LEASES_END_EARLY),
    explored("work", "one_delivery_more", 'always "the rules of leases"',
             (LEASING, "slot.deliveries >= options().deliveries_max;", "slot.deliveries > options().deliveries_max;")),
    explored("work", "leases_never_end", 'eventually "every job ends"', LEASES_NEVER_END),
    explored("work", "drops_dead_letters", 'require "every job is finished or a dead letter"',
             DROPS_DEAD_LETTERS),
    explored("work", "takes_a_key_twice", 'always "the rules of leases"',
             (LEASING, "if (known) return known;", "static_cast<void>(known);")),

    # the progress of the sender is gone with the item that had it
    explored("session_inbox", "keeps_no_note", 'always "the rules of an inbox"',
             ("belay/work/work_queue.hpp", "        return items().log().keep(note);\n",
              "        static_cast<void>(note);\n        return {};\n")),
    explored("session_inbox", "applies_twice", 'always "the rules of an inbox"',
             (RECEIVER, "in_ledger([&] { return ledger_.apply(sender->id, after_it, frame.payload); })",
              "in_ledger([&] { static_cast<void>(ledger_.apply(sender->id, after_it, frame.payload)); return "
              "ledger_.apply(sender->id, after_it, frame.payload); })")),
    explored("session_inbox", "leases_never_end", 'eventually "every parcel is acknowledged, and has ended"',
             LEASES_NEVER_END),
    explored("session_inbox", "drops_dead_letters", 'require "every parcel is finished or a dead letter"',
             DROPS_DEAD_LETTERS),
    explored("session_inbox", "ack_before_commit", 'always "the rules of an inbox"',
             (RECEIVER, "if (failed_ || must_commit()) return;", "if (failed_) return;")),

    explored("work_fleet", "leases_end_early", 'always "the rules of leases"', LEASES_END_EARLY),
    explored("work_fleet", "leases_never_end", 'eventually "every piece ends"', LEASES_NEVER_END),
    explored("work_fleet", "drops_dead_letters", 'require "every piece is finished or a dead letter"',
             DROPS_DEAD_LETTERS),
    explored("work_fleet", "slow_dials_without_limit", 'always "the limits of a fleet"', SLOW_DIALS_WITHOUT_LIMIT),
    # an ack of a lease that has ended returns lease_ended, and removes the item all the same
    explored("work_fleet", "late_ack_removes_the_item", 'require "every piece is finished or a dead letter"',
             (LEASING,
              "ack(const Lease& lease) {\n        if (const std::error_code error = check(lease)) return error;\n",
              "ack(const Lease& lease) {\n        if (const std::error_code error = check(lease)) {\n"
              "            const bool is_there = error == QueueErrc::lease_ended &&\n"
              "                lease.opening == items_.log().salt() && lease.slot < slots().end() &&\n"
              "                slots()[lease.slot].token != 0 && table().place_of(lease.slot).id == lease.id;\n"
              "            if (is_there) items_.finish(table().place_of(lease.slot));\n"
              "            return error;\n        }\n")),

    # a copy of an item has never been leased
    explored("work_compaction", "copies_no_deliveries", 'always "the rules of the queue"',
             (ITEMS, "entry.deliveries = ended_deliveries(known);", "entry.deliveries = 0;")),
    # a copy of an item that waits is due in an hour
    explored("work_compaction", "copies_a_wrong_delay", 'eventually "every crate ends"',
             (ITEMS, "entry.delay = delay_of(known);",
              "if (known.state == WorkItem::State::delayed) entry.delay = std::chrono::hours{1};")),
    explored("work_compaction", "drops_dead_letters", 'require "every crate is finished or dead"',
             DROPS_DEAD_LETTERS),

    # a half-open breaker permits every call
    explored("breaker", "probes_all_at_once", 'always "the rules of the parts"',
             (BREAKER_CORE, "if (has_space() || now >= until_) return Advice::go();",
              "if (state_ == BreakerState::half_open) return Advice::go();")),
    # a probe that is abandoned keeps its place
    explored("breaker", "keeps_abandoned_probes", 'eventually "every connection is stable, and the breaker is closed"',
             KEEPS_ABANDONED_PROBES),

    # an item of whose work nothing was done has used up a delivery
    explored("work_calls", "counts_released_deliveries", 'always "the rules of the parts"',
             (LEASING, "if (before.deliveries != WorkOptions::any_number) --before.deliveries;", "")),
    explored("work_calls", "drops_dead_letters", 'require "every bill is paid or dead"', DROPS_DEAD_LETTERS),
    explored("work_calls", "keeps_abandoned_probes", 'eventually "every bill ends"', KEEPS_ABANDONED_PROBES),

    # a request without a key is repeated
    explored("http_calls", "repeats_without_a_key", 'always "the rules of the calls"',
             ("belay/http/detail/http_policy.hpp", "return key != nullptr && !key->empty();",
              "return key == nullptr || !key->empty();")),
    explored("http_calls", "counts_no_dropped_calls", 'require "nothing is left behind"',
             ("belay/http/http_calls.hpp", "if (!has_ended) ++counters_.dropped;", "")),
    explored("http_calls", "keeps_abandoned_probes", 'eventually "every caller has its responses"',
             KEEPS_ABANDONED_PROBES),

    explored("requests", "counts_no_timeouts", 'always "the rules of the questions"',
             (REQUESTS, "++counts_.timed_out;", "")),
    explored("requests", "keeps_abandoned_probes", 'eventually "every connection answers, and the breaker is closed"',
             KEEPS_ABANDONED_PROBES),

    # callers that wait for a breaker are spread over twenty open waits
    explored("breaker_herd", "spreads_for_too_long", 'eventually "all are connected again"',
             ("belay/policy/shared.hpp", "const Duration::rep most = object_->spread().count();",
              "const Duration::rep most = object_->spread().count() * 20;")),
    # a connection that wants an attempt draws no wait of its own for the breaker
    explored("breaker_herd", "spreads_no_wanted_attempts", 'require "they do not dial at once"',
             ("belay/policy/shared.hpp",
              "which has no bits to draw from.\n        if constexpr (spreads) draw_share(turn);\n",
              "which has no bits to draw from.\n")),

    explored("tasks", "starves_the_second_lane", 'always "the rules of the queue"',
             ("belay/queue/priority.hpp", "if (passed_[i] >= in_a_row_) return i;",
              "if (passed_[i] > in_a_row_) return i;")),
    # bytes that cannot be decoded stay, although they are dead letters
    explored("tasks", "keeps_what_it_cannot_decode", 'eventually "every task ends"',
             ("belay/queue/encoded.hpp", "if (!detail::flush_dead_letters(dead_letters_)) {",
              "if (!detail::flush_dead_letters(dead_letters_) || letter_) {")),
    explored("tasks", "removes_before_the_letter_is_durable", 'require "no task is lost"',
             ("belay/queue/encoded.hpp", "if (!detail::flush_dead_letters(dead_letters_)) {",
              "if (letter_ != letter) {")),

    # messages of a connection that never opened are passed on by the next one
    explored("bundle", "keeps_early_messages", 'always "the order of each lane"',
             ("belay/link/supervisor.hpp", "            pending_events_.drop_early();\n", "")),
    # a lane that had to wait is not read again
    explored("bundle", "never_resumes_a_lane", 'eventually "all lanes are open, and have delivered all"',
             ("belay/link/supervisor.hpp", "            box().note_rejection();\n", "")),

    # an edit of a program conflicts with an earlier one of the same program
    explored("bridge", "compares_no_clocks", 'always "one writer has no conflict"',
             (RECONCILIATION, "return {Move::push, equal || as_base || !of_one_clock(remote, local), true};",
              "return {Move::push, true, true};")),
    explored("bridge", "does_not_push_changes", 'eventually "both programs and the server are in step"',
             (RECONCILIATION, "return {Move::push, equal || as_base || !of_one_clock(remote, local), true};",
              "return {Move::none, equal || as_base || !of_one_clock(remote, local), true};")),
    explored("bridge", "takes_an_older_scene", 'require "no edit of one writer is lost"',
             (RECONCILIATION, "case Relation::mine_newer:\n            return {Move::push, false, true};",
              "case Relation::mine_newer:\n            return {sides.sent ? Move::push : Move::apply, false, true};")),
    explored("bridge", "pushes_without_saw", 'require "an edit is kept, or reported"',
             (BRIDGE_ENGINE, "if (s.replaces) scene.saw = s.replaces;",
              "scene.saw.reset();")),
    # a server that compares deletes a change that the author of the deletion did not see
    Mutant("bridge_deletes_without_saw",
           (Change(BRIDGE_ENGINE, "part::SceneRemoval{call.pushing.stamp, s.replaces}",
                   "part::SceneRemoval{call.pushing.stamp, s.memory.open ? s.replaces : std::nullopt}"),),
           Test("tests/sync/bridge_deletion.test.cpp", "*")),
    explored("bridge", "new_scenes_never_conflict", 'require "an edit is kept, or reported"',
             (BRIDGE_ENGINE, "s.is_new = true;", "static_cast<void>(0);")),
    explored("bridge", "pushes_what_is_equal", 'require "what is in step is not pushed"',
             (RECONCILIATION, "case Relation::same:\n            return {Move::none, false, true};",
              "case Relation::same:\n            return {Move::push, false, true};")),

    # the local side fails, and nobody learns of it
    explored("bridge", "hides_failures_of_the_local_side", 'always "a file that cannot be written is reported"',
             (BRIDGE_ENGINE, "const Failure failure = Failure::from(error);\n        pending_events_.error(s.name, step, failure);\n",
              "const Failure failure = Failure::from(error);\n        static_cast<void>(step);\n")),

    # a connection that its borrower has reported dead is lent again
    explored("pool", "lends_a_dead_connection", 'always "the rules of a pool"',
             (POOL, "if (member.ticket != id.ticket || member.condemned) return;",
              "if (member.ticket != id.ticket) return;")),
    explored("pool", "all_dial_as_scouts", 'always "bounded rate of dials"',
             (POOL, "wait_for_scout(scout_ != none && i != scout_ && !goes_on);",
              "wait_for_scout(goes_on && false);")),
    # a wake-up is lost if several borrowers wait
    explored("pool", "wakes_one_borrower", 'eventually "every question is answered, and the pool is whole"',
             (POOL, "            awaited_ = 0;\n            detail::notify<typename Hooks::Idle>(observer_, *this);",
              "            if (std::exchange(awaited_, 0) == 1) detail::notify<typename Hooks::Idle>(observer_, *this);")),

    explored("calls", "lends_a_connection_twice", 'always "the rules of the parts"',
             (POOL, "if (!member.is_up() || member.ticket != 0 || is_suspect(member)) continue;",
              "if (!member.is_up() || is_suspect(member)) continue;")),
    # a probe that is cancelled in a queue keeps its place
    explored("calls", "keeps_abandoned_probes", 'eventually "every caller has its answers, and the pool is whole"',
             KEEPS_ABANDONED_PROBES),
    # a caller that is cancelled right after its turn has come keeps its place
    explored("calls", "keeps_a_place_that_was_given", 'require "nothing is left behind"',
             ("belay/call/limiters.hpp", "            count(left_);\n            release();\n",
              "            count(left_);\n")),

    # a run that begins after the replacement has the former policy
    explored("policies", "never_replaces", 'always "a run keeps its policy"',
             ("belay/policy/registry.hpp", "            std::swap(entry.object, added.entry().object);\n", "")),
    explored("policies", "limits_no_attempt", 'always "a supervisor keeps its policy"',
             (CORE, "attempt_ends_ = after(turn.now, policy_.attempt_limit());\n        actions_->dial = true;",
              "attempt_ends_ = after(turn.now, std::chrono::seconds{30});\n        actions_->dial = true;")),
    explored("policies", "keeps_abandoned_probes",
             'eventually "every asker has its answers, and the line is connected"', KEEPS_ABANDONED_PROBES),

    # the same parts with a bridge to the same server
    explored("sync_bridge", "counts_no_loss", 'always "a loss is reported"',
             ("belay/sync/detail/replica_pull.hpp",
              "if (!error || is_replaced(one)) count_lost(one.stamp, *report.lost);",
              "static_cast<void>(one);")),
    explored("sync_bridge", "discards_without_report", 'require "no edit is silently lost"',
             (RECONCILIATION, "        return {Move::apply, true, true};", "        return {Move::apply, false, true};")),
    explored("sync_bridge", "does_not_push_changes", 'eventually "all are equal, and no edit waits"',
             (RECONCILIATION, "return {Move::push, equal || as_base || !of_one_clock(remote, local), true};",
              "return {Move::none, equal || as_base || !of_one_clock(remote, local), true};")),
    # a scene that was pulled, and pushed again, counts as one of its own
    explored("sync_bridge", "takes_a_pulled_scene_for_its_own",
             'always "a program that changed nothing reports only what it replaces"',
             (RECONCILIATION, "const bool is_pulled = sides.base->made_by == Origin::remote;",
              "const bool is_pulled = false;")),
    # the author of a scene takes one that was pushed again for a change that saw it
    explored("sync_bridge", "ignores_unaware_scenes",
             'always "an author gets the report of a scene that was pushed again"',
             (RECONCILIATION, "if (unaware && saw == base_->stamp && *saw != Stamp{}) return Relation::both;",
              "static_cast<void>(unaware);")),
    Mutant("bridge_forgets_who_made_a_scene",
           (Change(RECONCILIATION, "const bool made_here = base_->made_by == Origin::local;",
                   "const bool made_here = false;"),),
           Test("tests/sync/bridge_saw.test.cpp", "*")),
    # a deletion stays unknown if the server had lost the scene
    Mutant("bridge_forgets_a_deletion",
           (Change(BRIDGE_ENGINE, "        if (both_lack) s.memory.in_step_without_scene(*sides.local);\n",
                   "        static_cast<void>(both_lack);\n"),),
           Test("tests/sync/bridge_deletion.test.cpp", "*")),
    # a push that arrives after its deletion is taken for a scene of another client
    Mutant("bridge_forgets_a_push_when_its_scene_is_deleted",
           (Change(BRIDGE_ENGINE, "s.memory.in_step_without_scene(*sides.local);", "s.memory.in_step(*sides.local);"),),
           Test("tests/sync/bridge_deletion.test.cpp", "*")),
    # a clock of the server that is ahead hides that an edit was overwritten unseen
    Mutant("bridge_compares_clocks_of_two_sides",
           (Change(BRIDGE_ENGINE, "if (sessions_.keeps_stamps) return;", "return;"),),
           Test("tests/sync/bridge_saw.test.cpp", "*")),

    # what a restored store has lost is not counted
    replicas("counts_no_loss", 'always "a loss is reported"',
             ("belay/sync/detail/replica_pull.hpp",
              "if (!error || is_replaced(one)) count_lost(one.stamp, *report.lost);",
              "static_cast<void>(one);")),
    # a batch without an answer counts as decided: a replica reports its edits as replaced, so its world finds nothing
    Mutant("remote_sync_server_takes_silence_for_an_answer",
           tuple(Change(*change) for change in TAKES_SILENCE_FOR_AN_ANSWER),
           Test("tests/sync/remote_sync_server.test.cpp",
                "an answer that a link lost in the middle of a batch keeps the outcomes before it")),
    # a batch without an answer counts as decided, and nothing reports that a sync has not seen its edits
    replicas("misses_what_the_server_has_not", 'require "no edit is silently lost"',
             *TAKES_SILENCE_FOR_AN_ANSWER,
             ("belay/sync/detail/replica_pull.hpp",
              "            report.replaced.push_back({mine(), std::move(now)});\n", "")),
    # the store forgets that it has forgotten a removal
    replicas("forgets_what_it_forgot", 'eventually "devices and server are in step, and no edit waits"',
             ("belay/sync/memory_store.hpp",
              "        forgotten_ = std::max(forgotten_, std::uint64_t{entry.change});\n", "")),
    # a cursor of a lost history counts as one of this history
    replicas("compares_no_epochs", 'eventually "devices and server are in step, and no edit waits"',
             ("belay/sqlite/store.hpp", "of(cursor.seen) == cursor.epoch", "true")),
    # a cursor counts as one of the history up to its own change
    Mutant("replica_sees_up_to_its_change",
           (Change("belay/sync/detail/replica_pull.hpp", "? page.next.seen : no_history",
                   "? page.next.changes : no_history"),),
           Test("tests/sync/replica_restored_store.test.cpp", "*")),
    # an interrupted copy counts as complete
    Mutant("replica_takes_half_a_copy",
           (Change("belay/sync/detail/replica_pull.hpp", "? page.next.seen : no_history",
                   "? page.next.seen : std::uint64_t{0}"),),
           Test("tests/sync/replica_restored_store.test.cpp", "*")),
    # an interrupted copy counts as one of another store
    Mutant("replica_copies_from_another_store",
           (Change("belay/sync/detail/replica_pull.hpp", "of != Of::other_copy ? page.next.seen",
                   "!is_copy(of) ? page.next.seen"),),
           Test("tests/sync/replica_copies.test.cpp", "*")),
    # a removal has no author after a copy whose sync failed
    Mutant("replica_forgets_who_removed",
           (Change("belay/sync/detail/replica_pull.hpp", "(local->stamp.origin == no_id ||",
                   "report.copied && (local->stamp.origin == no_id ||"),),
           Test("tests/sync/replica_copies.test.cpp", "*")),
    # an earlier removal takes the place of a later one, and of its author
    Mutant("replica_takes_an_earlier_removal",
           (Change("belay/sync/detail/replica_pull.hpp", " || (change.is_removal() && change.stamp < found->stamp);",
                   ";"),),
           Test("tests/sync/replica_copies.test.cpp", "*")),
    # the loss of a store is not reported after a crash
    Mutant("replica_forgets_a_loss",
           (Change("belay/sync/detail/replica_pull.hpp",
                   "position_.has_lost = is_other;", "static_cast<void>(is_other);"),),
           Test("tests/sync/replica_lost_reports.test.cpp", "*")),
    # an edit gets the stamp of one against which a strategy has decided
    Mutant("replica_forgets_a_decided_stamp",
           (Change("belay/sync/replica.hpp", "if (!error) error = note_decided_against();", ""),),
           Test("tests/sync/replica_lost_stamps.test.cpp", "*")),
    # a device does not receive the removal against which its edit has lost
    Mutant("processor_hides_a_removal",
           (Change("belay/sync/detail/operation_processor.hpp", "outcome = keep_version(key, local, mark);",
                   "outcome = write_or(mark, OperationOutcome::skipped);"),),
           Test("tests/sync/replica_copies.test.cpp", "*")),
    # a refused request that a network delivers again is applied
    Mutant("processor_forgets_a_former_id",
           (Change("belay/sync/detail/operation_processor.hpp", "if (!former_waits && has_former_id(op)) {",
                   "if (former_waits) {"),),
           Test("tests/sync/replica_clocks.test.cpp", "*")),
    # a kept edit comes after a later one of its element
    Mutant("replica_sorts_no_kept_edits",
           (Change("belay/sync/detail/replica_edits.hpp",
                   "for (const auto& [element, last] : last_of_) order_by_stamps(last);", ""),),
           Test("tests/sync/replica_clocks.test.cpp", "*")),
    # of two devices that restore a version, one loses it
    Mutant("processor_rejects_a_version_that_is_there",
           (Change("belay/sync/detail/conflict_table.hpp", "may_be_same ? ConflictAction::compare_contents",
                   "may_be_same && kind == OperationKind::interaction ? ConflictAction::compare_contents"),),
           Test("tests/sync/replica_reports.test.cpp",
                "Replica reports no loss of a version that another device restores at the same time")),
    # another version with the stamp of an edit is taken for the edit
    Mutant("processor_compares_stamps_only",
           (Change("belay/sync/detail/operation_processor.hpp",
                   "if (!error && hash_of_value(*there, 0) == hash_of_value(op.value(), 0)) {", "if (!error) {"),),
           Test("tests/sync/conflict_table.test.cpp",
                "Conflict table: an operation whose version the store has is no conflict")),
    # an edit that follows a dropped one gets the stamp of a lost version
    Mutant("replica_gives_a_lost_stamp",
           (Change("belay/sync/replica.hpp",
                   "if (!(*lost < *stamp)) stamp = clock_.stamp_above(*lost);", ""),),
           Test("tests/sync/replica_lost_stamps.test.cpp", "*")),
    # a run does not ask again for values that an earlier one could not read
    Mutant("replica_reads_on",
           (Change("belay/sync/detail/replica_pull.hpp", "            position_.cursor.changes = **after;\n", ""),),
           Test("tests/sync/replica_unreadable.test.cpp", "*")),
    # an edit of a removed version that the store lacks is one with the removal there
    Mutant("sync_merges_removals",
           (Change("belay/sync/detail/conflict_table.hpp",
                   "local.stamp < saw ? ConflictAction::apply : ConflictAction::raise_tombstone",
                   "ConflictAction::raise_tombstone"),),
           Test("tests/sync/replica_clocks.test.cpp", "*")),
    # an edit that a server has applied and lost is not sent again
    Mutant("replica_trusts_a_lost_answer",
           (Change("belay/sync/replica.hpp", "            edits_.send_again(Edits::Decided::unconfirmed);\n", ""),),
           Test("tests/sync/replica_restored_store.test.cpp", "*")),
    # a version that others replaced is not reported after a crash
    Mutant("replica_forgets_a_replaced_version",
           (Change("belay/sync/detail/replica_pull.hpp",
                   "        return replaced_.note(log_, report.replaced.back().mine, edits_.codec());\n",
                   "        return {};\n"),),
           Test("tests/sync/replica_rejections.test.cpp", "Replica reports a replaced version after a crash until a report was read")),

    # a version that was replaced unseen is reported once only
    Mutant("sync_reports_overwrites_once",
           (Change("belay/sync/detail/operation_processor.hpp",
                   "        if constexpr (!HasReplaced<Store>) return part::Decision::applied;\n",
                   "        return part::Decision::applied;\n"),),
           Test("tests/sync/causality.test.cpp", "Causality: an operation that is sent again reports again what it replaced unseen")),

    rooms("shows_before_it_is_stored", 'always "no edit that was shown is lost"',
          (EDITS, "        parts_.rooms.step(room, Event::appended);\n        return {};",
           "        parts_.rooms.step(room, Event::appended);\n"
           "        broadcast_and_apply(room, bytes, {author});\n        return {};")),
    # a subscription that has failed is never begun again
    rooms("subscribes_no_more", 'require "all are in step 120 s after the faults"',
          (REPLICATION, "            report_failure(room, error);\n            retry_later(room, error.code);\n            return {};",
           "            report_failure(room, error);\n            return {};")),
    # a room whose flush has failed is never flushed again
    rooms("flushes_no_more_after_a_failure", 'require "edits are stored and shown"', *FLUSH_NO_MORE),
    # the echo of an edit of this server does not raise the position that its snapshots cover
    rooms("covers_no_own_edits", 'require "a snapshot covers all edits"', COVERS_NO_OWN_EDITS),
    # the last copy of a room is evicted while the storage lacks changes
    Mutant("rooms_evicts_the_last_copy",
           (Change(ROOM_STATE, "return unstored || needs_load || gap || uncertain;", "return false;"),),
           Test("tests/room/held_rooms.test.cpp", "*")),
    # a save began before the entry of an edit arrived, and no later one covers the edit
    Mutant("rooms_ignores_what_a_save_lacks",
           (Change(EDITS, "        if (ours) parts_.rooms.step(room, Event::uncovered);", ""),),
           Test("tests/room/several_servers.test.cpp", "servers: a save covers an edit with an unknown result after it is read back")),
    # no save covers an edit whose flush was not answered in time, and that is read back
    Mutant("rooms_forgets_an_edit_without_an_answer",
           (Change(EDITS, "        if (ours) parts_.rooms.step(room, Event::uncovered);",
                   "        if (ours && state.own.has(entry.change.sequence)) parts_.rooms.step(room, Event::uncovered);"),),
           Test("tests/worlds/rooms.test.cpp",
                "Rooms of several servers lose no shown edit under kills, pauses and slow links", 500),
           'require "a snapshot covers all edits"'),
    # a server that could not read a long log reports its save to servers that need not save then
    Mutant("rooms_publishes_a_save_of_nothing",
           (Change(REPLICATION, "if (rejected || covers.position == 0) return;", "if (rejected) return;"),),
           Test("tests/room/several_servers.test.cpp", "servers: a save that covers nothing is not published as the save of a long log")),
    # a record counts at any place of its file
    Mutant("journal_accepts_records_of_other_places",
           (Change("belay/journal/journal_format.hpp", "return nonce + static_cast<std::uint32_t>(offset);",
                   "return nonce + static_cast<std::uint32_t>(offset) * 0;"),),
           Test("tests/journal/journal_damage.test.cpp",
                "Journal returns no older note or pin after a record was written twice")),
    # the remains of an earlier run after the end are records of this run
    Mutant("journal_accepts_records_of_other_runs",
           (Change("belay/journal/detail/journal_scan.hpp", ": h.run == run_in_record(g_.run));", ": true);"),),
           Test("tests/journal/journal_page.test.cpp", "Format page: a record of another run is not valid")),
    # bytes that moved forward are cut off as the remains of a crash
    Mutant("journal_cuts_off_moved_records",
           (Change("belay/journal/detail/journal_scan.hpp", "} else if (begins_moved(records)) {",
                   "} else if (false) {"),),
           Test("tests/journal/journal_inspect.test.cpp",
                "tool::inspect_journal reports a whole record with a wrong number as damage, as open does")),
    # a record of another run is returned from a file before the last one
    Mutant("journal_reads_operations_of_other_runs",
           (Change("belay/journal/journal.hpp", "return h.run == journal_format::run_in_record(run.run);",
                   "return h.run == 0 || run.run != 0;"),),
           Test("tests/journal/journal_page.test.cpp",
                "Format page: an operation of another run is not returned from a sealed file")),
    # an unreadable file is deleted by its name
    Mutant("journal_deletes_unreadable_files_of_others",
           (Change("belay/journal/detail/segment_files.hpp",
                   "if (error && is_known && !look_for(fs, path, file.file)) error = {};",
                   "if (error && is_known) error = {};"),),
           Test("tests/journal/journal_disk_faults.test.cpp",
                "Journal does not delete an unreadable file that replaced its own")),
    Mutant("journal_deletes_no_unreadable_file",
           (Change("belay/journal/detail/segment_files.hpp",
                   "if (error && is_known && !look_for(fs, path, file.file)) error = {};", ""),),
           Test("tests/journal/journal_disk_faults.test.cpp",
                "Journal deletes a released file that cannot be read if its identity is right")),
    # a file that nothing needs is needed to open the journal
    Mutant("journal_needs_damaged_files",
           (Change("belay/journal/detail/journal_recovery.hpp",
                   "error.code == QueueErrc::corrupt ||", ""),),
           Test("tests/journal/journal_disk_faults.test.cpp",
                "Journal::open does not need damaged files whose operations are all acknowledged")),
    # an unused file is evidence for the acknowledgement of a file that went on
    Mutant("journal_trusts_an_unused_file",
           (Change("belay/journal/detail/journal_recovery.hpp", "indices_.size() == 1 && unused_;",
                   "false;"),),
           Test("tests/journal/journal_disk_faults.test.cpp",
                "Journal::open needs the file before one that a change of segments left unused")),
    # files whose acknowledgement could not be written count against a limit of bytes
    Mutant("journal_counts_files_that_were_not_released",
           (Change("belay/journal/detail/journal_log.hpp",
                   "release_failed_ = static_cast<bool>(error);", ""),),
           Test("tests/journal/journal_disk_faults.test.cpp",
                "DropOldest over a Journal whose files cannot be deleted drops no more than usual")),
    # a client whose history has ended is told why, and no counter has that reason
    Mutant("rooms_operators_counts_no_client_of_an_ended_history",
           (Change("belay/room/detail/client_closer.hpp", "            context_.count_close(ended.why);\n", ""),),
           Test("tests/worlds/rooms_operators.test.cpp", "*", 200),
           'require "calls end, no acknowledged edit is lost, and all are in step"'),
    # another server with the next history shows the clients of the ended one until they are outdated
    Mutant("rooms_leave_the_awareness_of_an_ended_history",
           (Change("belay/room/detail/room_registry.hpp", "        parts_.replication.on_evicted(room, joined);",
                   "        if (!ended) parts_.replication.on_evicted(room, joined);"),),
           Test("tests/room/several_servers.test.cpp",
                "servers: the clients of an ended history are removed from the next one")),
    # a client whose last change fails just when its history ends dials again with the ended history
    Mutant("rooms_end_a_history_after_other_reasons",
           (Change("belay/room/detail/room_registry.hpp", "all.insert(all.begin(), ended.begin(), ended.end());",
                   "all.insert(all.end(), ended.begin(), ended.end());"),),
           Test("tests/room/several_servers.test.cpp",
                "servers: a client receives the end of its history, and not the failure of a change")),
    # a turn prepares the whole answer to a client that joins a large document
    Mutant("rooms_cut_a_whole_answer_in_one_turn",
           (Change(DELIVERY, "            if (!may_work()) return retry_soon(client);\n"
                             "            const Bytes part = connection.output.answer.chunks->next();",
                   "            const Bytes part = connection.output.answer.chunks->next();"),),
           Test("tests/room/room_large.test.cpp",
                "RoomManager: each turn prepares a part of the answers to clients that join a large document")),
    # a client does not get what is changed while it receives a large document
    Mutant("rooms_send_no_change_between_the_parts_of_an_answer",
           (Change(DELIVERY, "return !(client.is(origin.author) || client.core.draining() || client.backlog.lag_from);",
                   "return !(client.is(origin.author) || client.core.draining() || client.backlog.lag_from ||\n"
                   "                 client.connection->output.answer.chunks);"),),
           Test("tests/room/room_large.test.cpp", "RoomManager: no change is lost between the parts of an answer"),
           'require "all editors have all, and know it, 120 s after the faults"'),
    # a client that reads its answer slowly keeps its memory, although others wait for it
    Mutant("rooms_keep_the_memory_of_slow_answers",
           (Change("belay/room/detail/room_delivery.hpp", "if (first && !fits(bytes, which)) free_space(bytes, which);", ""),),
           Test("tests/room/room_large.test.cpp",
                "RoomManager: a client that reads its answer slowly yields to clients that wait")),
    # one room takes the checks of all others
    Mutant("rooms_gives_a_room_all_checks",
           (Change("belay/room/detail/admission_limits.hpp", "if (room.under_way < most_of_room_) {", "if (true) {"),),
           Test("tests/room/room_shares.test.cpp", "RoomManager: rechecks of one user or of one room that hang delay no other client")),
    # a client that leaves before its check keeps others of its room from theirs
    Mutant("rooms_forgets_the_checks_behind_a_client_that_leaves",
           (Change("belay/room/detail/admission_limits.hpp", "if (room == rooms_.end()) return;",
                   "if (room == rooms_.end() || client.state == State::waits) return;"),),
           Test("tests/room/room_shares.test.cpp", "RecheckQueue: a client is checked although those of its room before it leave")),
    # a large change of a user with no other one is rejected for ever
    Mutant("rooms_rejects_the_only_change_of_a_user",
           (Change("belay/room/detail/account.hpp", "return own == 0 || (own", "return (own"),),
           Test("tests/room/room_shares.test.cpp", "may_take: a user who holds some leaves a quarter to users who hold nothing")),
    Mutant("rooms_rejects_the_only_change_of_a_user_in_all_rooms",
           (Change("belay/room/detail/account.hpp", "if (held != 0 && (held >= most", "if ((held >= most"),),
           Test("tests/room/room_shares.test.cpp", "Account counts what a user holds in each room and in all, and is erased with the last")),
    # a user with work under way keeps its place before users without any
    Mutant("rooms_begins_the_work_of_a_greedy_user_first",
           (Change("belay/room/detail/fair_queue.hpp", "move_turn(user, user.under_way + 1, user.turn);", "++user.under_way;"),),
           Test("tests/room/room_shares.test.cpp",
                "FairQueue: a user without work under way goes before a greedy one, also if its work hangs")),
    # the first user takes all rechecks in turn
    Mutant("rooms_keeps_the_turn_of_a_recheck",
           (Change("belay/room/detail/fair_queue.hpp", "move_turn(user, user.under_way, ++last_turn_);", ""),),
           Test("tests/room/room_shares.test.cpp", "RecheckQueue: users take turns, clients of one leave in any order, and none waits twice")),
    # a greedy user takes all places
    Mutant("rooms_gives_a_greedy_user_all_places",
           (Change("belay/room/detail/fair_queue.hpp", "(own == 0 ? places_ : three_quarters(places_))",
                   "(own == 0 ? places_ : places_)"),),
           Test("tests/room/room_loads.test.cpp", "*")),
    # failed erases take any amount of memory
    Mutant("rooms_keeps_any_number_of_failed_erases",
           (Change("belay/room/detail/room_admin.hpp",
                   "if (changes_.too_many(room_id)) {", "if (false) {"),),
           Test("tests/room/room_administration.test.cpp", "RoomManager: at most 10,000 failed erases and resets wait for a flush")),
    # a call whose document throws takes a place of calls_max for ever
    Mutant("rooms_keeps_the_place_of_a_call_that_throws",
           (Change("belay/room/detail/turn_context.hpp", "if (std::uncaught_exceptions() > before_) --answers_.waiting_;", ""),),
           Test("tests/room/room_exceptions.test.cpp", "RoomManager: a document that throws in a call on a whole room, keeps no place of a call")),
    restored("restores_nothing", 'require "all are in step 120 s after the faults"',
             (REPLICATION, "        difference.ours = lacking(room.document, theirs);\n", "")),
    # a history that the storage has lost counts as ended
    restored("takes_a_loss_for_an_end", 'always "no edit that was shown is lost"',
             (REPLICATION, "        if (batch.state == part::FanoutBatch::State::over) {\n",
              "        if (batch.state != part::FanoutBatch::State::goes_on) {\n")),
    # of two servers that begin a history at once, one takes that of the other for a loss
    Mutant("rooms_takes_another_begin_for_a_loss",
           (Change(REPLICATION, "return room.replication->begin == HistoryBegin::known ? room.history.epoch : no_id;",
                   "return room.history.epoch;"),),
           Test("tests/room/several_servers.test.cpp",
                "servers: two servers that start a room at the same time start one history")),
    # a room whose flush has failed is flushed again only to restore what the storage has lost
    restored("flushes_no_more_after_a_failure", 'require "edits are stored and shown"', *FLUSH_NO_MORE,
             (ROOM_SCHEDULER, "if (room.pending.queue()) next_.rooms.push_back(&room);",
              "if (room.pending.queue() || room.pending.restores()) next_.rooms.push_back(&room);")),
    restored("covers_no_own_edits", 'require "a snapshot covers all edits"', COVERS_NO_OWN_EDITS),
)



def exhausted(test, name, *changes):
    """A fault that the exploration of every sequence of steps finds."""
    return Mutant(f"exploration_{name}", tuple(Change(*change) for change in changes), Test(test, "*"))


def fleet_of_all(name, *changes):
    return exhausted("tests/fleet/exploration.test.cpp", name, *changes)


def bridges_of_all(name, *changes):
    return exhausted("tests/sync/bridge_exploration.test.cpp", name, *changes)


EXHAUSTED_MUTANTS = (
    # a dial that has no place in the slow group keeps its place in the fast one
    fleet_of_all("slow_blocks_fast",
                 (SCHEDULER, "groups.move_slow(now, options.slow_after)) {\n",
                  "groups.move_slow(now, options.slow_after)) {\n            if (groups.slow.queue.empty()) return;\n")),
    # nothing is due although the slow group has a place
    fleet_of_all("forgets_the_slow_queue",
                 ("belay/fleet/detail/dial_scheduler.hpp", "fast.can_dial() || slow.can_dial() ? smaller",
                  "fast.can_dial() ? smaller")),
    # services wait for a network that is back
    fleet_of_all("never_resumes",
                 ("belay/fleet/fleet.hpp",
                  "if (detail::NetworkWait::holds(entry->ops->status(*entry))) entry->ops->resume(*entry);", "")),
    # an edit is lost without a report
    bridges_of_all("discards_without_report",
                   (RECONCILIATION, "        return {Move::apply, true, true};", "        return {Move::apply, false, true};")),
    # what was sent and never confirmed is not sent again
    bridges_of_all("never_sends_again",
                   (RECONCILIATION, "case Relation::mine_newer:\n            return {Move::push, false, true};",
                    "case Relation::mine_newer:\n            return {Move::none, false, true};")),
)

# Properties of worlds that no planted fault breaks, by test case, each with the reason.
UNPLANTED = {
    ("WorkQueue with four workers that crash ends each job once", "no job takes effect twice"):
        "the rules of leases fail first: a job that has taken effect is not leased again",
}

MUTANTS = SESSION_MUTANTS + SUPERVISOR_MUTANTS + WORLD_MUTANTS + EXHAUSTED_MUTANTS

# ---- how they are planted and judged -----------------------------------------------------------------------------


class Refused(Exception):
    """Why a mutant, or its test, is not as it must be."""


def mutated(include, mutant):
    """The changed files of a mutant, by name. A text must occur exactly once in the file as it stands."""
    files = {}
    for change in mutant.changes:
        path = include / change.file
        if not path.is_file():
            raise Refused(f"include/{change.file}: there is no such file")
        original = path.read_text(encoding="utf-8")
        count = original.count(change.text)
        if count != 1:
            shown = change.text.strip().splitlines()[0].strip() if change.text.strip() else change.text
            raise Refused(f"include/{change.file}: this text must occur once, and occurs {count} times: {shown}")
        files[change.file] = files.get(change.file, original)
        if files[change.file].count(change.text) != 1:
            raise Refused(f"include/{change.file}: two changes of this mutant touch the same text")
        files[change.file] = files[change.file].replace(change.text, change.replacement)
    return files


def write_copy(include, files, to):
    """A copy of include/ at `to`, with these files changed."""
    shutil.copytree(include, to, dirs_exist_ok=True)
    for name, text in files.items():
        (to / name).write_text(text, encoding="utf-8")


def failed_check(report, length=100):
    """The first failed CHECK or REQUIRE in Catch2's XML report, in one line, with so many characters of its text; None
    if there is none."""
    failed = re.search(r'<Expression success="false" type="(\w+)"[^>]*?filename="([^"]*)" line="(\d+)"[^>]*>'
                       r"(.*?)</Expression>", report, re.S)
    if not failed:
        return None
    expanded = re.search(r"<Expanded>(.*?)</Expanded>", failed[4], re.S)
    info = re.findall(r"<Info>(.*?)</Info>", report[:failed.start()], re.S)
    failure_text = " ".join((expanded[1] if expanded else "").split())
    if info and info[-1].strip() and not failure_text.replace("false", ""):
        failure_text = " ".join(info[-1].split())
    failure_text = failure_text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    return f"{pathlib.PurePath(failed[2]).name}:{failed[3]}: {failed[1]}: {failure_text[:length]}"


def totals(report):
    """Successes and failures of a whole report; None if the program ended before it was complete."""
    results = re.findall(r'<OverallResults successes="(\d+)" failures="(\d+)"', report)
    return tuple(map(int, results[-1])) if results else None


def judge_sound(code, report):
    """Refuses a test that does not pass with the headers as they are."""
    counted = totals(report)
    if counted is None or code != 0 or counted[1] != 0:
        failure_text = failed_check(report) or f"exit code {code}, {'no complete report' if counted is None else 'failures'}"
        raise Refused(f"the test fails with the headers as they are: {failure_text}")
    if counted[0] == 0:
        raise Refused("the test checks nothing: does a test case have this name?")


def judge_mutant(code, report, property=""):
    """What found the fault. Refuses an end that is not a failed CHECK or REQUIRE, or not that of the property."""
    failure_text = failed_check(report)
    if "<FatalErrorCondition" in report or code < 0:
        raise Refused(f"the test crashes, exit code {code}: {failure_text or 'before any check failed'}")
    if totals(report) is None:
        raise Refused(f"the test ends without a complete report, exit code {code}")
    if code == 0:
        raise Refused("SURVIVED: the test does not find the fault")
    if failure_text is None:
        raise Refused("the test fails, but by no CHECK or REQUIRE")
    if property not in failed_check(report, None):
        raise Refused(f"the test fails, but not by {property}: {failure_text}")
    return failure_text


def properties_without_mutant(root, table):
    """Pairs of a test case of tests/worlds and a property of its world that no mutant of the table breaks. The property
    is empty if a name is no literal, which this function cannot read."""
    missing = set()
    for path in sorted((root / "tests/worlds").glob("*.test.cpp")):
        text = path.read_text(encoding="utf-8")
        names = set(re.findall(r'\bworld\.(?:always|never|eventually|require)\(\s*(?:"([^"]*)")?', text))
        for case in re.findall(r'\bTEST_CASE\(\s*"([^"]*)"', text):
            broken = [mutant.property for mutant in table
                      if root / mutant.test.source == path and mutant.test.cases in ("*", case)]
            missing |= {(case, name) for name in names if not any(f'"{name}"' in property for property in broken)}
    return missing


class Once:
    """Calls a function once for each key, also if threads ask at the same time; later calls get the same result."""

    def __init__(self, function):
        self.function = function
        self.lock = threading.Lock()
        self.made = {}

    def __call__(self, *key):
        with self.lock:
            first = key not in self.made
            future = self.made.setdefault(key, concurrent.futures.Future())
        if first:
            try:
                future.set_result(self.function(*key))
            except Exception as error:  # the callers get it
                future.set_exception(error)
        return future.result()


def run_limited(command, seconds, failure, **options):
    """Runs a program whose processes have so much processor time each."""
    limited = ["sh", "-c", f'ulimit -S -t {seconds}; exec "$0" "$@"', *map(str, command)]
    try:
        done = subprocess.run(limited, capture_output=True, text=True, errors="replace", timeout=seconds * WAIT_FACTOR, **options)
    except subprocess.TimeoutExpired:
        raise Refused(f"{failure} in {seconds * WAIT_FACTOR} s") from None
    if done.returncode == -signal.SIGXCPU:
        raise Refused(f"{failure} in {seconds} s of processor time")
    return done


class Runner:
    def __init__(self, root, compiler, work, run_seconds=RUN_SECONDS_MAX):
        self.root, self.compiler, self.work = root, compiler, work
        self.include = root / "include"
        launcher = root / "tests/scripts/compile"
        self.launcher = [launcher] if launcher.exists() else []
        self.run_seconds = run_seconds
        self.main = Once(self.compile_main)
        self.libraries = Once(self.find_libraries)
        self.sound_program = Once(lambda source: self.build(source, self.include, "sound-" + source.replace("/", "-")))
        self.sound = Once(self.run_sound)

    def compile(self, source, include, output):
        command = [*self.launcher, self.compiler, *FLAGS, f"-I{include}", "-c", str(source), "-o", str(output)]
        done = run_limited(command, COMPILE_SECONDS_MAX, f"{source} does not compile", cwd=self.root)
        if done.returncode != 0:
            error = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise Refused(f"{source} does not compile: {error}")
        return output

    def compile_main(self):
        return self.compile("tests/support/main.cpp", self.include, self.work / "main.o")

    def find_libraries(self):
        """Catch2 3 has a library, Catch2 2 is a header."""
        probe = "#if !__has_include(<catch2/catch_all.hpp>)\n#error\n#endif\n"
        command = [self.compiler, "-x", "c++", "-fsyntax-only", "-"]
        has_library = subprocess.run(command, input=probe, capture_output=True, text=True).returncode == 0
        return ["-lrapidcheck", "-lpthread"] + ["-lCatch2"] * has_library

    def build(self, source, include, name):
        test = self.compile(source, include, self.work / f"{name}.o")
        program = self.work / name
        command = [self.compiler, str(self.main()), str(test), "-o", str(program), *self.libraries()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(f"{source} does not link: {done.stderr.strip()[-200:]}")
        return program

    def run(self, program, test):
        environment = dict(os.environ)
        for name in ("BELAY_SEED", "BELAY_SEEDS", "BELAY_DEPTH"):
            environment.pop(name, None)
        if test.seeds:
            environment["BELAY_SEEDS"] = str(test.seeds)
        cases = test.cases.replace("\\", "\\\\").replace(",", "\\,").replace("[", "\\[")
        done = run_limited([program, cases, "-r", "xml"], self.run_seconds, "the test does not end", cwd=self.work, env=environment)
        return done.returncode, done.stdout

    def run_sound(self, test):
        judge_sound(*self.run(self.sound_program(test.source), test))

    def find(self, mutant):
        """What found the fault; raises Refused."""
        files = mutated(self.include, mutant)
        include = self.work / f"{mutant.name}-include"
        write_copy(self.include, files, include)
        try:
            ended = self.run(self.build(mutant.test.source, include, mutant.name), mutant.test)
            return judge_mutant(*ended, mutant.property)
        finally:
            shutil.rmtree(include, ignore_errors=True)
            for made in (self.work / mutant.name, self.work / f"{mutant.name}.o"):
                made.unlink(missing_ok=True)


def former_table(root, since):
    """The mutants of that commit, by name; none where its table cannot be read."""
    names = {"__name__": "former_mutants", "__file__": __file__}
    try:
        exec(compile(changes.git(root, "show", f"{since}:tests/scripts/mutants.py"), "former_mutants", "exec"), names)
    except Exception:  # of an older form
        return {}
    return {mutant.name: mutant for mutant in names["MUTANTS"]}


def component(mutant):
    return mutant.changes[0].file.split("/")[1]


def chosen(mutants, changed, former, most):
    """At most so many mutants of what changed. First those that changed themselves, then those that change a file that changed,
    those of a test that changed, those of a component that changed; in turn one of each component, in the order of the table."""
    folders = {name.split("/")[2 if name.startswith(("include/", "tests/support/")) else 1]
               for name in changed.files if name.startswith(("include/belay/", "tests/")) and name.count("/") > 1}

    def rank(mutant):
        reasons = (mutant.name in former and former[mutant.name] != mutant or bool(former) and mutant.name not in former,
                   any(f"include/{change.file}" in changed.files for change in mutant.changes),
                   mutant.test.source in changed.files,
                   changed.everything or component(mutant) in folders)
        return reasons.index(True) if any(reasons) else None

    counts = collections.Counter()
    ranked = []
    for mutant in mutants:
        place = rank(mutant)
        if place is not None:
            counts[place, component(mutant)] += 1
            ranked.append((place, counts[place, component(mutant)], len(ranked), mutant))
    return [mutant for *_, mutant in sorted(ranked)[:most]], len(ranked)


class Run:
    """Runs mutants; counts and prints."""

    def __init__(self, runner):
        self.runner = runner
        self.lock = threading.Lock()
        self.passed, self.failed = [], []

    def one(self, mutant):
        begin = time.monotonic()
        try:
            self.runner.sound(mutant.test)
            verdict, failure_text = "found", self.runner.find(mutant)
        except Refused as refused:
            verdict, failure_text = "WRONG", str(refused)
        with self.lock:
            (self.passed if verdict == "found" else self.failed).append(mutant)
            print(f"{verdict}  {mutant.name:<42}{time.monotonic() - begin:>6.1f} s  {failure_text}", flush=True)

    def run(self, mutants, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self.one, mutants))


def main(arguments=None, mutants=MUTANTS, run_seconds=RUN_SECONDS_MAX):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", nargs=2, metavar=("NAME", "DIRECTORY"))
    parser.add_argument("--since", default="", metavar="COMMIT")
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--compiler", default="clang++" if shutil.which("clang++") else "g++")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    by_name = {mutant.name: mutant for mutant in mutants}
    unknown = [name for name in (options.only or []) + (options.write or [])[:1] if name not in by_name]
    if unknown:
        print(f"{unknown[0]}: there is no mutant of this name; see --list", file=sys.stderr)
        return 2
    if options.list:
        for mutant in mutants:
            files = sorted({change.file for change in mutant.changes})
            print(f"{mutant.name:<42}{mutant.test.source}: {mutant.test.cases} ({', '.join(files)})")
        return 0
    if options.write:
        name, to = options.write
        try:
            write_copy(root / "include", mutated(root / "include", by_name[name]), pathlib.Path(to))
        except Refused as refused:
            print(f"{name}: {refused}", file=sys.stderr)
            return 1
        return 0

    # All texts are checked, also those of mutants that do not run now.
    stale = 0
    for mutant in mutants:
        try:
            mutated(root / "include", mutant)
        except Refused as refused:
            stale += 1
            print(f"WRONG  {mutant.name}: {refused}")
    if stale:
        print(f"0 passed, {stale} failed")
        return 1
    if options.only:
        mutants = [by_name[name] for name in options.only]
    elif not options.all:
        changed = changes.Changes(root, options.since)
        mutants, count = chosen(mutants, changed, former_table(root, options.since) if options.since else {}, options.most)
        print(f"{len(mutants)} of {count} mutants of what changed{f' since {options.since[:12]}' if options.since else ''}")
    # The same one in each run, for ccache.
    work = root / "build/mutants"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        run = Run(Runner(root, options.compiler, work, run_seconds))
        run.run(mutants, options.jobs)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(run.passed)} passed, {len(run.failed)} failed")
    return 1 if run.failed or mutants and not run.passed else 0


if __name__ == "__main__":
    sys.exit(main())
