// SPDX-License-Identifier: MIT
// Goal: in each component that keeps items, one bad item does not hold the others for ever, and
// docs/reference/one-bad-item.md states what happens. Method: plant one record that cannot be read, one item
// that is never processed, one failure of the disk, and one item above the limit, in each of them.
// Components of other libraries are in files of this name in their folders.
#include <functional>
#include <string>
#include <vector>

#include <belay/journal.hpp>
#include <belay/queue.hpp>
#include <belay/sim/disk.hpp>
#include <belay/work.hpp>

#include "support/catch.hpp"
#include "support/one_bad_item.hpp"
#include "support/session/outbox_rig.hpp"
#include "support/session/receiver_rig.hpp"
#include "support/session/session_rig.hpp"
#include "support/sync/text_codec.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

// ---- a journal -----------------------------------------------------------------------------------

std::string journal_unreadable() {
    sim::Disk disk;
    DiskJournal journal = small_journal(disk);
    for (const char* const text : {"first", "second", "third"}) {
        REQUIRE(journal.append(as_bytes(text)));
    }
    REQUIRE_FALSE(journal.commit());
    damage_text(disk, "second");
    CHECK(as_text(*journal.read(1)) == "first");
    CHECK(journal.read(2).error() == QueueErrc::corrupt);
    CHECK(as_text(*journal.read(3)) == "third");
    CHECK_FALSE(journal.ack(2));
    CHECK(as_text(*journal.front()) == "third");
    return "`read` and `front` return `corrupt` for the record. `ack` discards it. The other "
           "records can be read.";
}
std::string journal_unprocessable() {
    sim::Disk disk;
    DiskJournal journal = small_journal(disk);
    REQUIRE((journal.append(as_bytes("bad")) && journal.append(as_bytes("good"))));
    journal.nack();
    CHECK(as_text(*journal.front()) == "bad");
    CHECK_FALSE(journal.ack());
    CHECK(as_text(*journal.front()) == "good");
    return "The item stays the first until your program calls `ack`.";
}
std::string journal_disk() {
    sim::Disk disk;
    DiskJournal journal = small_journal(disk);
    REQUIRE(journal.append(as_bytes("a")));
    check_passing_error(disk, [&] { return !journal.commit(); });
    CHECK(journal.durable() == 1);
    return "One call returns the error. The next call reopens the file, and no item is lost.";
}
std::string journal_too_large() {
    sim::Disk disk;
    DiskJournal journal = small_journal(disk);
    CHECK(journal.append(Bytes(513)).error() == QueueErrc::too_large);
    CHECK(journal.append(as_bytes("good")));
    return "`append` returns `too_large`.";
}

// ---- a queue with a codec ------------------------------------------------------------------------

std::string encoded_unreadable() {
    sim::Disk disk;
    {
        Encoded queue{small_journal(disk), ChangedCodec{}};
        REQUIRE((!queue.try_push("old a") && !queue.try_push("new b") && !queue.commit()));
    }
    Encoded queue{small_journal(disk), ChangedCodec{"old", true}};
    CHECK(queue.front().error() == QueueErrc::bad_encoding);
    CHECK_FALSE(queue.ack());
    CHECK(queue.front().value() == "new b");
    return "`front` returns `bad_encoding` until `ack` discards the record. If there is a storage "
           "of dead letters, the record becomes a dead letter immediately.";
}
std::string encoded_unprocessable() {
    sim::Disk disk;
    Encoded queue{small_journal(disk), ChangedCodec{}};
    REQUIRE((!queue.try_push("bad") && !queue.try_push("good")));
    CHECK(queue.front().value() == "bad");
    queue.nack();
    CHECK(queue.front().value() == "bad");
    CHECK_FALSE(queue.ack());
    CHECK(queue.front().value() == "good");
    return "The item stays the first until your program calls `ack`.";
}
std::string encoded_disk() {
    sim::Disk disk;
    Encoded queue{small_journal(disk), ChangedCodec{}};
    REQUIRE_FALSE(queue.try_push("a"));
    check_passing_error(disk, [&] { return !queue.commit(); });
    return "As for the `Journal`.";
}
std::string encoded_too_large() {
    sim::Disk disk;
    Encoded queue{small_journal(disk), ChangedCodec{}};
    CHECK(queue.try_push(std::string(600, 'x')) == QueueErrc::too_large);
    CHECK_FALSE(queue.try_push("good"));
    return "`push` returns `too_large`.";
}

// ---- a work queue --------------------------------------------------------------------------------

using DiskWork = WorkQueue<DiskJournal>;

DiskWork open_work(sim::Disk& disk) {
    auto work = DiskWork::open(small_journal(disk), {.deliveries_max = 3, .record_bytes_max = 512},
                               Moment{});
    REQUIRE(work);
    return std::move(*work);
}
std::string work_unreadable() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    Moment now{};
    REQUIRE((work.push("the bad one", now) && work.push("good", now) && !work.commit()));
    damage_text(disk, "the bad one");
    std::vector<std::string> leased;
    for (int second = 0; second < 120; ++second) {
        now = {now.now + 1s, now.wall + 1s};
        while (const auto lease = work.lease(now)) {
            leased.emplace_back(as_text(lease->body));
            CHECK_FALSE(work.ack(*lease));
        }
    }
    CHECK(leased == std::vector<std::string>{"good"});
    CHECK(work.dead() == 1);
    return "The item becomes a dead letter (`unreadable`), and other items are leased.";
}
std::string work_unprocessable() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    const Moment now{};
    REQUIRE((work.push("bad", now) && work.push("good", now)));
    int leases = 0;
    while (const auto lease = work.lease(now)) {
        REQUIRE(++leases < 10);
        const bool is_bad = as_text(lease->body) == "bad";
        const std::error_code error = is_bad ? work.nack(*lease, now) : work.ack(*lease);
        CHECK_FALSE(error);
    }
    CHECK(leases == 4);
    CHECK(work.dead() == 1);
    return "After `deliveries_max` leases, the item becomes a dead letter. Meanwhile, other items "
           "are leased.";
}
std::string work_disk() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    REQUIRE(work.push("a", Moment{}));
    check_passing_error(disk, [&] { return !work.commit(); });
    CHECK(work.lease(Moment{}));
    return "As for the `Journal`.";
}
std::string work_too_large() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    CHECK(work.push(Bytes(512), Moment{}).error() == QueueErrc::too_large);
    CHECK(work.push("good", Moment{}));
    return "`push` returns `too_large`.";
}

// ---- an outbox -----------------------------------------------------------------------------------

OutboxOptions outbox_options() {
    OutboxOptions options;
    options.promise = OutboxOptions::at_least_once;
    return options;
}
std::string outbox_unreadable() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("good");
    rig.push("the bad one");
    for (int i = 0; i < 40; ++i) rig.push(std::string(400, 'x'));  // so that it is in no last file
    rig.run();
    rig.box.reset();
    damage_text(rig.disk, "the bad one");
    rig.open();
    rig.connect_once();
    CHECK(rig.server.take() == std::vector<std::string>{"good"});
    CHECK(rig.box->status().error == QueueErrc::corrupt);
    return "The earlier messages are sent. Then `status().error` is `corrupt` until the journal is "
           "salvaged.";
}
std::string outbox_unprocessable() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("bad");
    rig.push("good");
    for (int i = 0; i < 30; ++i) {
        rig.connect_once();
        rig.run(rig.now + 60s);
        rig.cut();
        rig.run(rig.now + 10s);
    }
    CHECK(rig.box->status().undeliverable == 1);
    CHECK_FALSE(rig.box->acknowledge(1));
    rig.server.take();
    rig.connect_once();
    CHECK(rig.server.take() == std::vector<std::string>{"good"});
    return "After `deliveries_max` deliveries, `on_undeliverable` and the status report the "
           "message. Other messages wait until the hook acknowledges it.";
}
std::string outbox_disk() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("a");
    check_passing_error(rig.disk, [&] { return !rig.box->commit(); });
    return "As for the `Journal`. The connection may end, and is opened again.";
}
std::string outbox_too_large() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    CHECK(rig.box->push(std::string(513, 'x')) == QueueErrc::too_large);
    rig.push("good");
    rig.server.refuses = "too long for the framing";
    rig.push(rig.server.refuses);
    rig.push("good, too");
    rig.connect();
    CHECK(rig.server.take() == std::vector<std::string>{"good", "good, too"});
    return "`push` returns `too_large`. If only the framing rejects a message, `on_unsent` "
           "receives it, and other messages are sent.";
}

// ---- both ends of a session ----------------------------------------------------------------------

std::string session_unreadable() {
    SessionRig<> rig;
    for (int i = 0; i < 80; ++i) rig.send(i == 9 ? "the bad one" : std::string(90, 'x'));
    rig.run();
    damage_text(rig.disk, "the bad one");
    rig.start();
    rig.exchange(rig.fresh());
    const Observed sent = rig.exchange(ack(0));
    CHECK(sent.size() == 9);
    CHECK(rig.blocked() == Blocked::journal_failed);
    return "The earlier operations are sent. Then the session is blocked (`journal_failed`) until "
           "its journal is salvaged.";
}
std::string session_unprocessable() {
    SessionRig<> rig;
    rig.send("bad");
    rig.send("good");
    rig.connect();
    for (int i = 0; i < 5; ++i) {
        rig.exchange(error(SessionErrc::storage));
        CHECK(rig.session->status().link.failure.error() == SessionErrc::storage);
        while (rig.state() == LinkState::cooldown) rig.run(rig.now + 1s);
        const Observed sent = rig.exchange(rig.known(0));
        CHECK(sent.back() == "data 2 good");
    }
    CHECK(std::count(rig.notes.observed.begin(), rig.notes.observed.end(), "stalled") == 0);
    for (int i = 0; i < 10; ++i) {
        rig.exchange(error(SessionErrc::storage));
        while (rig.state() == LinkState::cooldown) rig.run(rig.now + 1s);
        rig.exchange(rig.known(0));
    }
    CHECK(std::count(rig.notes.observed.begin(), rig.notes.observed.end(), "stalled") == 1);
    return "The operation is sent on each connection, and later operations wait. `on_state` and "
           "the status report the receiver's error. After 60 s, `on_stalled` is called.";
}
std::string session_disk() {
    SessionRig<> rig;
    rig.connect();
    rig.disk.fail_at(rig.disk.operations() + 2, passing_error());
    rig.send("a");
    rig.run();
    CHECK(rig.session->status().flush_error);
    rig.run(2s);
    CHECK_FALSE(rig.session->status().flush_error);
    CHECK(rig.line().sent_frames() == Observed{"data 1 a"});
    return "`flush_error` of the status contains the error until the flush is repeated, a second "
           "later. The connection stays open.";
}
std::string session_too_large() {
    SessionRig<> rig;
    CHECK(rig.session->send(Bytes(513)).error() == QueueErrc::too_large);
    rig.send("good");
    rig.send(std::string(200, 'x'));
    rig.start();
    rig.exchange(rig.fresh());
    CHECK(rig.exchange(ack(0)) == Observed{"data 1 good"});
    CHECK(rig.blocked() == Blocked::too_large);
    return "`send` returns `too_large`. An operation above the receiver's limit blocks the session "
           "(`too_large`) until that limit is raised.";
}

std::string receiver_unreadable() {
    ReceiverRig<> rig;
    const auto line = rig.attached(hello_of(1, 1));
    auto other = hello_of(2, 1);
    other.sender = id(2);
    const auto good = rig.attached(other);
    Bytes bad = data(1, "x");
    bad.back() ^= std::byte{1};
    CHECK(rig.exchange(line, bad) == Observed{"error protocol 4"});
    CHECK(rig.notes.take() == Observed{"rejected 1: 1"});
    CHECK(rig.exchange(good, data(1, "y")) == Observed{"ack 1"});
    return "A damaged message ends its connection, and `on_rejected` is called. The sender sends "
           "the operation again.";
}
std::string receiver_unprocessable() {
    ReceiverRig<> rig;
    auto other = hello_of(2, 1);
    other.sender = id(2);
    const auto good = rig.attached(other);
    const auto line = rig.attached(hello_of(1, 1));
    rig.ledger.apply_fails = passing_error();
    rig.ledger.apply_fails_for = "bad";
    CHECK(rig.exchange(line, data(1, "bad")) == Observed{"error storage 0"});
    CHECK(rig.notes.take() == Observed{"rejected 1: 13", "sender failed 1: 5", "committed 1 at 0"});
    CHECK(rig.exchange(good, data(1, "y")) == Observed{"ack 1"});
    rig.ledger.apply_fails = {};
    const auto again = rig.attached(pinned_hello_of(1, 2));
    CHECK(rig.exchange(again, data(1, "bad")) == Observed{"ack 1"});
    return "If `apply` returns an error, `on_sender_failed` reports the error. Only the "
           "operation's sender waits, and sends the operation again at the times of its policy.";
}
std::string receiver_medium() {
    ReceiverRig<> rig;
    const auto line = rig.attached(hello_of(1, 1));
    rig.ledger.commit_fails = passing_error();
    CHECK(rig.exchange(line, data(1, "x")) == Observed{"error storage 0"});
    rig.ledger.commit_fails = {};
    rig.receiver.resume(LedgerView{rig.ledger});
    const auto again = rig.attached(pinned_hello_of(1, 2));
    return "`on_ledger_failed` reports the error. No operation is lost. The receiver does not "
           "serve senders until you call `resume` with a reopened ledger.";
}
std::string receiver_too_large() {
    ReceiverOptions options;
    options.limits.payload_bytes_max = 10;
    ReceiverRig<> rig{options};
    const auto line = rig.attached(hello_of(1, 1));
    CHECK(rig.exchange(line, data(1, "more than ten bytes")) == Observed{"error protocol 4"});
    CHECK(rig.notes.take() == Observed{"rejected 1: 1"});
    return "The operation blocks its sender (`too_large`). Other senders are served.";
}

constexpr BadItemRow durable_rows[] = {
    {"`Journal`", journal_unreadable, journal_unprocessable, journal_disk, journal_too_large},
    {"`Encoded` over a `Journal`", encoded_unreadable, encoded_unprocessable, encoded_disk,
     encoded_too_large},
    {"`WorkQueue`", work_unreadable, work_unprocessable, work_disk, work_too_large},
    {"`Outbox` over a `Journal`", outbox_unreadable, outbox_unprocessable, outbox_disk,
     outbox_too_large},
    {"`Session`", session_unreadable, session_unprocessable, session_disk, session_too_large},
    {"`Receiver`", receiver_unreadable, receiver_unprocessable, receiver_medium,
     receiver_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does in a component of durable",
          "[e2e][one_bad_item]") {
    check_bad_item_rows(durable_rows);
}
