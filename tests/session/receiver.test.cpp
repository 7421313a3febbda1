// SPDX-License-Identifier: MIT
// Goal: a receiver answers every frame as section 5.2 of the protocol specifies. Method: the
// test plays the senders, frame by frame.
#include <belay/session/receiver.hpp>

#include <functional>

#include "support/session/receiver_rig.hpp"

using namespace belay;
using namespace belay::session_format;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

const Id ledger_store_id = MemoryLedger{}.store;

/// Number limit and byte limit of an ACK.
std::pair<std::uint64_t, std::uint64_t> limits_of(const Bytes& message) {
    const Frame f = only_frame(message);
    REQUIRE(f.type == FrameType::ack);
    return {load_le<std::uint64_t>(f.payload.data()), load_le<std::uint64_t>(f.payload.data() + 8)};
}

}  // namespace

TEST_CASE("Receiver takes an observer without options, with and without an authorizer",
          "[session][receiver][unit]") {
    MemoryLedger ledger;
    ReceiverNotes notes;
    const auto run = [&](auto& receiver, auto& links) {
        receiver.attach(Waker{});
        receiver.advance(at(0s));
        receiver.accept(RawTransport<>{links});
        const auto advance = [&] {
            for (int i = 0; i < 100 && receiver.deadline() <= at(0s); ++i) receiver.advance(at(0s));
        };
        advance();
        links.back()->say(bytes_of(hello_of(1, 1)));
        advance();
        links.back()->say(start(1));
        advance();
        return notes.take();
    };
    using Notes = std::reference_wrapper<ReceiverNotes>;
    RawLinks links;
    Receiver<RawTransport<>, LedgerView, AllowAll, Notes> open{LedgerView{ledger}, std::ref(notes)};
    CHECK(run(open, links) == Observed{"attached 1 at 0"});
    Receiver<RawTransport<>, LedgerView, TicketAuthorizer, Notes> guarded{
        LedgerView{ledger}, TicketAuthorizer{}, std::ref(notes)};
    CHECK(run(guarded, links) ==
          Observed{"rejected 1: " + std::to_string(static_cast<int>(SessionErrc::forbidden))});
}

TEST_CASE("Receiver sends a sign of life while parts of a long frame arrive",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    auto a = r.attached(hello_of(1, 1));
    auto pending = r.connect();
    pending->say(bytes_of(hello_of(2, 1)));
    r.run();
    pending->sent_frames();
    // The sender may give up a silent receiver after any time from 1 s on.
    for (int s = 1; s <= 60; ++s) {
        a->link.pong(false);
        r.run(std::chrono::seconds{s});
        CHECK(a->sent_frames() == Observed{"pong 0"});
        a->link.pong(false);
        r.run(std::chrono::seconds{s} + 500ms);
        CHECK(a->sent_frames().empty());
    }
    SECTION("the frame's ACK is enough") {
        r.run(69s);
        r.now = 75s;
        a->sent_frames();
        CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
    }
    SECTION("also after a short commit_within, and with a shorter interval") {
        ReceiverRig<> soon{
            {.commit_within = 500ms, .heartbeat = {.every = 600ms, .dead_after = 25s}}};
        auto b = soon.attached(hello_of(1, 1));
        soon.now = 1s;
        CHECK(soon.exchange(b, data(1, "x")).empty());
        soon.now = 1100ms;
        b->link.pong(false);
        soon.run();
        CHECK(b->sent_frames().empty());
        soon.run(1500ms);
        CHECK(b->sent_frames() == Observed{"ack 1"});
        b->link.pong(false);
        soon.run(2100ms);
        CHECK(b->sent_frames() == Observed{"pong 0"});
    }
    SECTION("a PING is answered once") {
        r.run(69s);
        a->sent_frames();
        r.now = 71s;
        CHECK(r.exchange(a, ping(7)) == Observed{"pong 7"});
    }
    SECTION("a commit that comes late does not replace it") {
        ReceiverRig<> late{{.commit_within = 1min, .heartbeat = {.every = 10s, .dead_after = 25s}}};
        auto b = late.attached(hello_of(1, 1));
        late.now = 11s;
        CHECK(late.exchange(b, data(1, "x")) == Observed{"pong 0"});
    }
}

TEST_CASE("Receiver::stop inside a ledger's function acknowledges nothing that is not durable",
          "[session][receiver][regression]") {
    for (const bool in_commit : {false, true}) {
        ReceiverRig<> r;
        auto a = r.attached(hello_of(1, 1));
        std::function<void()> stop = [&] { r.receiver.stop(); };
        (in_commit ? r.ledger.on_commit : r.ledger.on_apply) = [&] {
            std::exchange(stop, [] {})();
        };
        r.ledger.log.clear();
        a->say(data(1, "x"));
        r.run();
        CHECK(r.ledger.log == Observed{"apply 1", "commit"});
        CHECK(r.ledger.committed == r.ledger.applied);
        CHECK(r.receiver.connections() == 0);
        auto b = r.connect();
        b->say(bytes_of(pinned_hello_of(1, 2)));
        r.run();
        CHECK(read_welcome(only_frame(b->take()))->applied == 1);
        CHECK(r.ledger.committed.at(id(1)).applied == 1);
    }
}

TEST_CASE("Receiver::stop inside progress or adopt of a ledger attaches no connection",
          "[session][receiver][regression]") {
    // Checks each call of progress: in HELLO and START of a new journal, and in HELLO of a known
    // one.
    const int at_call = GENERATE(0, 1, 2, 3, 4, 5);
    CAPTURE(at_call);
    ReceiverRig<> r{{.commit_within = forever}};
    auto other = r.connect();
    Hello second = hello_of(2, 1);
    second.sender = id(2);
    r.exchange(other, bytes_of(second));
    r.exchange(other, start(1));
    r.exchange(other, data(1, "x"));
    r.notes.take();
    r.ledger.log.clear();
    auto a = r.connect();
    int calls = 0;
    bool inside = false;
    bool nested = false;
    const auto stop = [&] {
        inside = true;
        r.receiver.stop();
        inside = false;
    };
    r.ledger.on_commit = [&] { nested = nested || inside; };
    r.ledger.on_progress = [&] {
        if (++calls == at_call) stop();
    };
    if (at_call == 0) r.ledger.on_adopt = stop;
    r.exchange(a, bytes_of(hello_of(1, 1)));
    if (r.receiver.connections() != 0) r.exchange(a, start(1));
    if (r.receiver.connections() != 0) {
        r.notes.take();
        a = r.connect();
        r.exchange(a, bytes_of(pinned_hello_of(1, 2)));
    }
    CHECK((at_call == 0 || calls >= at_call));
    CHECK(r.receiver.connections() == 0);
    CHECK_FALSE(nested);
    CHECK(a->sent_frames().empty());
    CHECK(r.ledger.committed == r.ledger.applied);
    for (const std::string& noted : r.notes.take()) CHECK(noted.substr(0, 8) != "attached");
}

// ---- 5.2, steps 1 to 4 --------------------------------------------------------------------------

TEST_CASE("Receiver adopts a new journal at START, not before", "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    CHECK(r.exchange(a, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
    CHECK(r.ledger.log.empty());
    CHECK(r.notes.take().empty());
    CHECK(r.exchange(a, start(1)) == Observed{"ack 0"});
    CHECK(r.ledger.log == Observed{"adopt"});
    CHECK(r.notes.take() == Observed{"attached 1 at 0"});
    const Progress p = r.ledger.committed.at(id(1));
    CHECK(p == Progress{.journal = id(1),
                        .attach = 1,
                        .applied = 0,
                        .check = belay::journal_format::first_check(id(1))});
}

TEST_CASE("Receiver's WELCOME to a new journal grants no credit; its first ACK does",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.limits = {.number_window = 5, .byte_window = 100, .payload_bytes_max = 50}}};
    auto a = r.connect();
    a->say(bytes_of(hello_of(1, 9)));
    r.run();
    const Bytes message = a->take();
    const auto g = read_welcome(only_frame(message));
    REQUIRE(g.has_value());
    CHECK(g->attach == 9);
    CHECK(g->payload_bytes_max == 50);
    CHECK(g->store == ledger_store_id);
    CHECK(g->number_limit == 0);
    CHECK(g->byte_limit == 0);
    a->say(start(9));
    r.run();
    CHECK(limits_of(a->take()) == std::pair<std::uint64_t, std::uint64_t>{5, 100});
}

TEST_CASE("Receiver resumes a known journal from its recorded progress",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.limits = {.number_window = 5}}};
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x") + data(2, "y")) == Observed{"ack 2"});
    CHECK(r.ledger.effects == Observed{"x", "y"});
    auto b = r.connect();
    b->say(bytes_of(pinned_hello_of(1, 2)));
    r.run();
    const Bytes message = b->take();
    const auto g = read_welcome(only_frame(message));
    REQUIRE(g.has_value());
    CHECK(g->known);
    CHECK(g->applied == 2);
    CHECK(g->number_limit == 7);
    std::uint64_t check = belay::journal_format::next_check(
        belay::journal_format::first_check(id(1)), as_bytes("x"), 7);
    check = belay::journal_format::next_check(check, as_bytes("y"), 7);
    CHECK(g->check == check);
    CHECK(r.exchange(b, start(2)).empty());
    CHECK(r.exchange(b, data(3, "z")) == Observed{"ack 3"});
    CHECK(r.ledger.committed.at(id(1)).attach == 2);
}

TEST_CASE("Receiver rejects a journal that is pinned to another store",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    Hello h = hello_of(1, 2);
    h.pinned_store = id(99);
    auto b = r.connect();
    b->say(bytes_of(h));
    r.run();
    const Bytes message = b->take();
    CHECK(describe(message) == Observed{"error store_changed 0"});
    CHECK(text_of(only_frame(message).payload) == text_of(ledger_store_id));
    CHECK(b->closed_gracefully);
    // The rejected connection has fenced no other one.
    CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
}

TEST_CASE("Receiver rejects a journal that is missing in its store", "[session][receiver][unit]") {
    ReceiverRig<> r;
    const auto refused = [&](const Hello& h) {
        auto a = r.connect();
        a->say(bytes_of(h));
        r.run();
        const Bytes message = a->take();
        return describe(message) == Observed{"error unknown_journal 0"} &&
               text_of(only_frame(message).payload) == text_of(ledger_store_id);
    };
    Hello forgotten = hello_of(1, 1);
    forgotten.base = 2;
    forgotten.last = 1;
    CHECK(refused(forgotten));
    CHECK(refused(pinned_hello_of(1, 1)));
    // The same holds if the record has another journal of this sender.
    auto a = r.attached(hello_of(2, 1));
    CHECK(refused(forgotten));
    CHECK(refused(pinned_hello_of(1, 2)));
    CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
}

TEST_CASE("Receiver fences by the highest attach number, recorded or in memory",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 10));
    const auto greet = [&](auto& rig, std::uint64_t attach) {
        auto b = rig.connect();
        return rig.exchange(b, bytes_of(pinned_hello_of(1, attach)));
    };
    CHECK(greet(r, 9) == Observed{"error fenced 10"});
    CHECK(greet(r, 10) == Observed{"error fenced 10"});
    CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});  // the attached connection stays
    CHECK(greet(r, 20) == Observed{"welcome known 1"});
    CHECK(a->sent_frames() == Observed{"error superseded 20"});
    // Attach 20 has sent no operation, so the record still has 10.
    CHECK(r.ledger.committed.at(id(1)).attach == 10);
    CHECK(greet(r, 15) == Observed{"error fenced 20"});
    // After a restart, only the record is left.
    ReceiverRig<> restarted;
    restarted.ledger = r.ledger;
    CHECK(greet(restarted, 10) == Observed{"error fenced 10"});
    CHECK(greet(restarted, 15) == Observed{"welcome known 1"});
}

TEST_CASE("Receiver closes every other connection of the sender, attached or pending",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto silent = r.connect();
    auto attached = r.attached(hello_of(1, 1));
    auto pending = r.connect();
    CHECK(r.exchange(pending, bytes_of(hello_of(2, 1))) == Observed{"welcome replaces 0"});
    Hello other = hello_of(3, 1);
    other.sender = id(2);
    auto unknown_peer = r.attached(other);
    auto newest = r.connect();
    CHECK(r.exchange(newest, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 0"});
    CHECK(attached->sent_frames() == Observed{"error superseded 2"});
    CHECK(pending->sent_frames() == Observed{"error superseded 2"});
    CHECK(attached->closed_gracefully);
    CHECK_FALSE(attached->live);
    CHECK(pending->say(start(1)) == belay::driver::Post::gone);
    // Connections of another sender, or without a sender, are not affected.
    CHECK(r.exchange(unknown_peer, data(1, "x")) == Observed{"ack 1"});
    CHECK(r.exchange(silent, bytes_of(pinned_hello_of(1, 3))) == Observed{"welcome known 0"});
    CHECK(r.receiver.connections() == 2);
}

TEST_CASE("Receiver drops unprocessed messages of a fenced connection",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto newer = r.connect();  // accepted first, so its turn comes first
    auto older = r.attached(hello_of(1, 1));
    older->say(data(1, "stale"));
    newer->say(bytes_of(pinned_hello_of(1, 2)));
    r.run();
    CHECK(newer->sent_frames() == Observed{"welcome known 0"});
    CHECK(older->sent_frames() == Observed{"error superseded 2"});
    CHECK(r.ledger.effects.empty());
    CHECK(r.exchange(newer, data(1, "fresh")) == Observed{"ack 1"});
    CHECK(r.ledger.effects == Observed{"fresh"});
}

TEST_CASE("Receiver answers a resume only when all applied operations are durable",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.commit_within = 10s}};
    auto older = r.attached(hello_of(1, 1));
    CHECK(r.exchange(older, data(1, "x")).empty());
    CHECK(r.ledger.log == Observed{"adopt", "apply 1"});
    auto newer = r.connect();
    CHECK(r.exchange(newer, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 1"});
    CHECK(r.ledger.log == Observed{"adopt", "apply 1", "commit"});
    CHECK(r.ledger.committed.at(id(1)).applied == 1);
    CHECK(older->sent_frames() == Observed{"error superseded 2"});
}

TEST_CASE("Receiver does not let a pending journal change its state before START",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto living = r.attached(hello_of(1, 5));
    CHECK(r.exchange(living, data(1, "x")) == Observed{"ack 1"});
    r.notes.take();
    auto other = r.connect();
    CHECK(r.exchange(other, bytes_of(hello_of(2, 1))) == Observed{"welcome replaces 1"});
    CHECK(r.exchange(living, data(2, "y")) == Observed{"ack 2"});
    r.notes.take();
    CHECK(r.exchange(other, start(1)) == Observed{"ack 0"});
    CHECK(living->sent_frames() == Observed{"error superseded 1"});
    CHECK(r.notes.take() == Observed{"rejected 1: 12", "replaced 1 at 2", "attached 1 at 0"});
    // The record has the attach number of the new journal, not that of the old one.
    CHECK(r.ledger.committed.at(id(1)).attach == 1);
    CHECK(r.exchange(other, data(1, "new")) == Observed{"ack 1"});
    // The old journal is pinned, and is unknown now.
    auto dead = r.connect();
    CHECK(r.exchange(dead, bytes_of(pinned_hello_of(1, 6))) == Observed{"error unknown_journal 0"});
}

TEST_CASE("Receiver commits pending operations before an adoption, and the adoption before its ACK",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.commit_within = 10s}};
    auto living = r.attached(hello_of(1, 5));
    CHECK(r.exchange(living, data(1, "x")).empty());
    auto other = r.attached(hello_of(2, 1));
    CHECK(r.ledger.log == Observed{"adopt", "apply 1", "commit", "adopt"});
}

TEST_CASE("Receiver accepts START once, with the right attach number, from a pending connection",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    SECTION("a second START: ignored") {
        auto a = r.attached(hello_of(1, 1));
        CHECK(r.exchange(a, start(1)).empty());
        CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
        CHECK(r.exchange(a, start(1)).empty());
        CHECK(r.ledger.log == Observed{"adopt", "apply 1", "commit"});
    }
    SECTION("another attach number: rejected") {
        auto a = r.connect();
        r.exchange(a, bytes_of(hello_of(1, 1)));
        CHECK(r.exchange(a, start(2)) == Observed{"error protocol 3"});
        CHECK(r.ledger.log.empty());
        auto b = r.attached(hello_of(1, 2));
        CHECK(r.exchange(b, start(1)) == Observed{"error protocol 3"});
    }
    SECTION("before HELLO: rejected") {
        auto a = r.connect();
        CHECK(r.exchange(a, start(1)) == Observed{"error protocol 3"});
    }
}

TEST_CASE("Receiver reports a sender whose input the transport has rejected",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    const Failure garbage = Failure::from(std::make_error_code(std::errc::protocol_error));
    r.attached(hello_of(1, 1))->link.closed(Failure{.cause = Cause::lost});
    r.connect()->link.closed(garbage);
    r.run();
    CHECK(r.notes.take().empty());
    r.attached(hello_of(1, 2))->link.closed(garbage);
    r.run();
    CHECK(r.notes.take() ==
          Observed{"rejected 1: " + std::to_string(static_cast<int>(SessionErrc::protocol))});
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver keeps one pending connection per sender: the newer one if it authorized",
          "[session][receiver][unit]") {
    Guarded r;
    const auto ticket = [](std::uint64_t attach) {
        return bytes_of(with_token(hello_of(1, attach), "ticket"));
    };
    SECTION("the older connection receives an error, and its messages are ignored") {
        auto a = r.connect();
        auto b = r.connect();
        CHECK(r.exchange(a, ticket(1)) == Observed{"welcome new"});
        CHECK(r.exchange(b, ticket(2)) == Observed{"welcome new"});
        CHECK(a->sent_frames() == Observed{"error superseded 2"});
        CHECK(a->say(start(1)) == belay::driver::Post::gone);
        CHECK(r.exchange(b, start(2)) == Observed{"ack 0"});
        CHECK(r.exchange(b, data(1, "x")) == Observed{"ack 1"});
        CHECK(r.ledger.log == Observed{"adopt", "apply 1", "commit"});
    }
    SECTION("the START of the older connection, queued after the newer one's, is dropped") {
        auto b = r.connect();
        auto a = r.connect();
        r.exchange(a, ticket(1));
        b->say(ticket(2));
        b->say(start(2));
        a->say(start(1));
        r.run();
        CHECK(a->sent_frames() == Observed{"error superseded 2"});
        CHECK(b->sent_frames() == Observed{"welcome new", "ack 0"});
        CHECK(r.ledger.committed.at(id(1)).attach == 2);
    }
    SECTION("a pending connection of another sender is not affected") {
        auto a = r.connect();
        auto b = r.connect();
        Hello other = with_token(hello_of(2, 1), "ticket");
        other.sender = id(2);
        CHECK(r.exchange(a, ticket(1)) == Observed{"welcome new"});
        CHECK(r.exchange(b, bytes_of(other)) == Observed{"welcome new"});
        CHECK(r.exchange(a, start(1)) == Observed{"ack 0"});
    }
}

TEST_CASE("Receiver accepts HELLO once", "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    r.exchange(a, bytes_of(hello_of(1, 1)));
    CHECK(r.exchange(a, bytes_of(hello_of(1, 2))) == Observed{"error protocol 1"});
    auto b = r.attached(hello_of(1, 3));
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, 4))) == Observed{"error protocol 1"});
}

// ---- 5.2, step 6, and 7 -------------------------------------------------------------------------

TEST_CASE("Receiver applies the next operation, skips duplicates, and rejects a gap",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x") + data(2, "y")) == Observed{"ack 2"});
    CHECK(r.exchange(a, data(1, "again") + data(2, "again")) == Observed{"ack 2"});
    CHECK(r.exchange(a, data(2, "again") + data(3, "z")) == Observed{"ack 3"});
    CHECK(r.ledger.effects == Observed{"x", "y", "z"});
    CHECK(r.exchange(a, data(5, "gap") + data(4, "late")) == Observed{"error gap 4"});
    CHECK(a->closed_gracefully);
    CHECK(r.ledger.effects == Observed{"x", "y", "z"});
}

TEST_CASE("Receiver accepts DATA on the attached connection only", "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto pending = r.connect();
    CHECK(r.exchange(pending, data(1, "x")) == Observed{"error protocol 4"});
    pending = r.connect();
    r.exchange(pending, bytes_of(hello_of(1, 1)));
    CHECK(r.exchange(pending, data(1, "x")) == Observed{"error protocol 4"});
    CHECK(r.ledger.effects.empty());
}

TEST_CASE("Receiver rejects operations beyond the credit that it granted",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.limits = {.number_window = 2, .byte_window = 8, .payload_bytes_max = 8},
                     .commit_within = 10s}};
    auto a = r.attached(hello_of(1, 1));
    SECTION("in numbers") {
        CHECK(r.exchange(a, data(1, "") + data(2, "")).empty());
        CHECK(r.exchange(a, data(3, "")) == Observed{"error protocol 4"});
    }
    SECTION("in bytes, exactly") {
        CHECK(r.exchange(a, data(1, "12345678")).empty());
        CHECK(r.exchange(a, data(2, "9")) == Observed{"error protocol 4"});
    }
    SECTION("in bytes, duplicates included") {
        CHECK(r.exchange(a, data(1, "1234") + data(1, "1234")).empty());
        CHECK(r.exchange(a, data(1, "1")) == Observed{"error protocol 4"});
    }
    SECTION("in one payload") {
        CHECK(r.exchange(a, data(1, "123456789")) == Observed{"error protocol 4"});
    }
    CHECK(r.ledger.effects.size() < 3);
}

TEST_CASE("Receiver always grants credit for one largest payload", "[session][receiver][unit]") {
    // The credit covers one payload, also if the windows are smaller.
    ReceiverRig<> r{{.limits = {.number_window = 1, .byte_window = 1, .payload_bytes_max = 16}}};
    auto a = r.connect();
    r.exchange(a, bytes_of(hello_of(1, 1)));
    a->say(start(1));
    r.run();
    auto limits = limits_of(a->take());
    CHECK(limits == std::pair<std::uint64_t, std::uint64_t>{1, 16});
    for (std::uint64_t n = 1; n <= 5; ++n) {
        a->say(data(n, "0123456789abcdef"));
        r.run();
        const auto next = limits_of(a->take());
        CHECK(next.first == limits.first + 1);
        CHECK(next.second == limits.second + 16);
        limits = next;
    }
    CHECK(r.ledger.effects.size() == 5);
}

TEST_CASE("Receiver commits once for all operations of a turn, and ACKs once",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    a->say(data(1, "x") + data(2, "y"));
    a->say(data(3, "z"));
    r.run();
    CHECK(a->sent_frames() == Observed{"ack 3"});
    CHECK(r.ledger.log == Observed{"adopt", "apply 1", "apply 2", "apply 3", "commit"});
    CHECK(r.notes.take() == Observed{"committed 1 at 3"});
}

TEST_CASE("Receiver waits at most commit_within for more operations", "[session][receiver][unit]") {
    ReceiverRig<> r{{.commit_within = 20ms}};
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x")).empty());
    CHECK(r.receiver.deadline() == at(20ms));
    r.run(10ms);
    CHECK(r.exchange(a, data(2, "y")).empty());  // the time runs from the oldest operation
    CHECK(r.receiver.deadline() == at(20ms));
    r.run(20ms);
    CHECK(a->sent_frames() == Observed{"ack 2"});
    CHECK(r.ledger.log == Observed{"adopt", "apply 1", "apply 2", "commit"});
    CHECK(r.receiver.deadline() == at(10ms + 10s));  // the sender's next sign of life
}

TEST_CASE("Receiver acknowledges no operation before its commit, however long commit_within is",
          "[session][receiver][regression]") {
    // The second one and the time of the operation are more than the clock can count.
    const Duration within = GENERATE(Duration{forever}, Duration{forever - 1ns});
    ReceiverRig<> r{{.commit_within = within}};
    r.run(1s);
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x")).empty());
    CHECK(r.exchange(a, data(1, "x")).empty());  // skipped, because it is not durable yet
    r.run(11s);
    CHECK(a->sent_frames() == Observed{"ping 1"});
    CHECK(r.ledger.log == Observed{"adopt", "apply 1"});
    CHECK(r.notes.take().empty());
    // A new connection is answered with what is durable.
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 1"});
    CHECK(r.ledger.log == Observed{"adopt", "apply 1", "commit"});
    r.exchange(b, start(2));
    CHECK(r.exchange(b, data(2, "y")).empty());
    r.receiver.stop();
    CHECK(r.ledger.committed.at(id(1)).applied == 2);
    CHECK(b->sent_frames() == Observed{"ack 2"});
}

TEST_CASE("Receiver notifies of a commit also when the connection has closed",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.commit_within = 20ms}};
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x")).empty());
    a->link.closed();
    r.run();
    CHECK(r.receiver.connections() == 0);
    CHECK(r.notes.take().empty());
    r.run(20ms);
    CHECK(r.notes.take() == Observed{"committed 1 at 1"});
}

TEST_CASE("Receiver notifies of a commit once, for each sender whose operations it contains",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.commit_within = 20ms}};
    auto older = r.attached(hello_of(1, 1));
    older->answers_close = false;  // it stays open next to the newer one
    CHECK(r.exchange(older, data(1, "x")).empty());
    auto newer = r.attached(pinned_hello_of(1, 2));
    Hello other = hello_of(3, 1);
    other.sender = id(2);
    auto second = r.attached(other);
    CHECK(r.exchange(second, data(1, "y")).empty());
    r.run(20ms);
    CHECK(r.notes.take() == Observed{"committed 2 at 1"});
    CHECK(second->sent_frames() == Observed{"ack 1"});
    CHECK(r.exchange(newer, data(2, "z")).empty());
    CHECK(r.exchange(second, data(1, "y")).empty());  // skipped
    r.run(40ms);
    CHECK(r.notes.take() == Observed{"committed 1 at 2"});
}

TEST_CASE("Receiver repeats an ACK that the transport did not accept",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    a->link.writable();  // an earlier event, which must not count for the later ACK
    r.run();
    a->answer = SendResult::busy;
    CHECK(r.exchange(a, data(1, "x")).empty());
    // The deadline of the sign of life, and not of the ACK.
    CHECK(r.receiver.deadline() == at(10s));
    a->answer = SendResult::sent;
    a->link.writable();
    r.run();
    CHECK(a->sent_frames() == Observed{"ack 1"});
}

TEST_CASE("Receiver serves several senders at the same time", "[session][receiver][unit]") {
    ReceiverRig<> r;
    std::vector<std::shared_ptr<RawLink>> lines;
    for (const unsigned n : {5U, 2U, 9U, 1U}) {
        Hello h = hello_of(n, n);
        h.sender = id(n);
        lines.push_back(r.attached(h));
    }
    for (auto& line : lines) line->say(data(1, "x"));
    r.run();
    for (auto& line : lines) CHECK(line->sent_frames() == Observed{"ack 1"});
    CHECK(r.ledger.committed.size() == 4);
    CHECK(r.notes.take() ==
          Observed{"committed 5 at 1", "committed 2 at 1", "committed 9 at 1", "committed 1 at 1"});
}

// ---- adoption: tests/scripts/mutants.py plants the faults that these two must find --------------

TEST_CASE("Receiver keeps a fresh journal when a dead one's HELLO arrives late",
          "[session][receiver][fault]") {
    // If journals were adopted at HELLO instead of START, the dead journal would exclude the living
    // one.
    ReceiverRig<> r;
    auto dead = r.connect();
    auto living = r.connect();
    r.exchange(living, bytes_of(hello_of(2, 1)));
    r.exchange(living, start(1));
    r.exchange(dead, bytes_of(hello_of(1, 1)));
    CHECK(r.exchange(living, data(1, "x")) == Observed{"ack 1"});
    CHECK_FALSE(living->closed_gracefully);
    auto again = r.connect();
    CHECK(r.exchange(again, bytes_of(pinned_hello_of(2, 2))) == Observed{"welcome known 1"});
}

TEST_CASE("Receiver serves a fresh journal after one that was opened often",
          "[session][receiver][fault]") {
    // The run numbers of a fresh journal begin at 1. They would be below the attach number of the
    // old journal, if that were kept.
    ReceiverRig<> r;
    r.attached(hello_of(1, (5ULL << 32U) + 3));
    r.attached(hello_of(2, (1ULL << 32U) + 1));
    auto again = r.connect();
    CHECK(r.exchange(again, bytes_of(pinned_hello_of(2, (1ULL << 32U) + 2))) ==
          Observed{"welcome known 0"});
}
