// SPDX-License-Identifier: MIT
// Goal: a receiver rejects, bounds or survives bad frames, unknown peers, floods, a ledger that
// fails, and hooks that destroy it. Method: the test plays the senders.
#include <belay/session/receiver.hpp>

#include <memory>

#include "support/aborts.hpp"
#include "support/session/receiver_rig.hpp"

using namespace belay;
using namespace belay::session_format;
using namespace belay_test;
using namespace std::chrono_literals;

// ---- bad frames ---------------------------------------------------------------------------------

TEST_CASE("Receiver rejects a first message that is no HELLO", "[session][receiver][fault]") {
    ReceiverRig<> r;
    const auto answer = [&](Bytes message) {
        auto a = r.connect();
        Observed observed = r.exchange(a, std::move(message));
        CHECK(a->closed_gracefully);
        CHECK_FALSE(a->live);
        return observed;
    };
    const Bytes hello = bytes_of(hello_of(1, 1));
    CHECK(answer(Bytes(100, std::byte{'G'})) == Observed{"error protocol 71"});
    CHECK(answer({hello.begin(), hello.begin() + 10}) == Observed{"error protocol 0"});
    CHECK(answer({hello.begin(), hello.end() - 1}) == Observed{"error protocol 1"});
    CHECK(answer(ping(1)) == Observed{"error protocol 11"});
    CHECK(answer(data(1, "x")) == Observed{"error protocol 4"});
    CHECK(answer(patched(hello, 9, 99)) == Observed{"error protocol 99"});  // type
    CHECK(answer(patched(hello, 8, 2)) == Observed{"error protocol 1"});    // version of the frame
    CHECK(answer(patched(hello, 10, 2)) == Observed{"error protocol 1"});   // unknown flag
    // Rebase, which the protocol does not have.
    CHECK(answer(patched(hello, 10, 1)) == Observed{"error protocol 1"});
    CHECK(answer(patched(hello, 11, 1)) == Observed{"error protocol 1"});    // lane
    CHECK(answer(patched(hello, 11, 16)) == Observed{"error protocol 1"});   // lane
    CHECK(answer(patched(hello, 24, 'B')) == Observed{"error protocol 1"});  // magic
    CHECK(answer(patched(hello, 34, 3)) == Observed{"error protocol 1"});    // both directions
    CHECK(answer(patched(hello, 35, 2)) == Observed{"error protocol 1"});    // two lanes
    Bytes bad_crc = hello;
    bad_crc[30] ^= std::byte{1};
    CHECK(answer(bad_crc) == Observed{"error protocol 1"});
    CHECK(r.ledger.log.empty());
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver limits an unknown peer's transport to the size of a greeting",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    CHECK(a->limit == frame_header_bytes + greeting_bytes_max);
    r.exchange(a, bytes_of(hello_of(1, 1)));
    CHECK(a->limit == frame_header_bytes + greeting_bytes_max);
    r.exchange(a, start(1));
    CHECK(a->limit > payload_bytes_ceiling);
    auto again = r.connect();
    r.exchange(again, bytes_of(hello_of(1, 2)));
    CHECK(again->limit > payload_bytes_ceiling);
    auto refused = r.connect();
    r.exchange(refused, ping(1));
    CHECK(refused->limit == frame_header_bytes + greeting_bytes_max);
}

TEST_CASE("Receiver closes after an empty message, because a message has at least one frame",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    CHECK(r.exchange(a, {}) == Observed{"error protocol 0"});
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver accepts no large frame before WELCOME", "[session][receiver][fault]") {
    ReceiverRig<> r;
    const auto oversized = [](FrameType type) {
        return bytes_of(Frame{.type = type, .payload = Bytes(greeting_bytes_max + 1)});
    };
    auto a = r.connect();
    CHECK(r.exchange(a, oversized(FrameType::hello)) == Observed{"error protocol 1"});
    auto b = r.connect();
    r.exchange(b, bytes_of(hello_of(1, 1)));
    CHECK(r.exchange(b, oversized(FrameType::ping)) == Observed{"error protocol 11"});
    // An attached connection may send payloads up to the limit of its WELCOME.
    auto c = r.attached(hello_of(1, 2));
    CHECK(r.exchange(c, data(1, std::string(greeting_bytes_max + 1, 'x'))) == Observed{"ack 1"});
}

TEST_CASE("Receiver sends its version to a peer with another version",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    const auto answer = [&](unsigned low, unsigned high) {
        auto a = r.connect();
        Observed observed =
            r.exchange(a, patched(patched(bytes_of(hello_of(1, 1)), 32, low), 33, high));
        a->link.closed();
        return observed;
    };
    const Observed version{"error version " + std::to_string((1ULL << 32U) + 1)};
    CHECK(answer(1, 1) == Observed{"welcome new"});
    CHECK(answer(0, 7) == Observed{"welcome new"});
    CHECK(answer(2, 7) == version);
    CHECK(answer(0, 0) == version);
    CHECK(answer(2, 1) == Observed{"error protocol 1"});  // no range
}

TEST_CASE("Receiver rejects frames that an attached connection must not send",
          "[session][receiver][fault]") {
    ReceiverRig<> r;
    const auto [message, answer] = GENERATE(table<Bytes, std::string>({
        {bytes_of(Frame{.type = FrameType::welcome}), "error protocol 2"},
        {ack(0), "error protocol 5"},
        {bytes_of(Frame{.type = FrameType::reject, .number = 1}), "error protocol 6"},
        {bytes_of(Frame{.type = FrameType::confirm}), "error protocol 7"},
        {bytes_of(Frame{.type = FrameType::drain}), "error protocol 8"},
        {bytes_of(Frame{.type = FrameType::close}), "error protocol 9"},
        {data(0, "zero"), "error protocol 4"},
        {patched(data(1, "key"), 10, 1), "error protocol 4"},
        {patched(data(1, "tombstone"), 10, 2), "error protocol 4"},
        {patched(data(1, "acknowledge now"), 10, 4), "error protocol 4"},
        {patched(data(1, "lane"), 11, 1), "error protocol 4"},
        {patched(ping(1), 11, 1), "error protocol 11"},
        {patched(ping(1), 12, 1), "error protocol 11"},
        {patched(start(1), 12, 1), "error protocol 3"},
        {bytes_of(Frame{.type = FrameType::pong, .payload = as_bytes("x")}), "error protocol 12"},
        {Bytes(3), "error protocol 0"},
    }));
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "good") + message + data(2, "after")) == Observed{answer});
    // The frames before the bad frame count, and those after it do not.
    CHECK(r.ledger.effects == Observed{"good"});
    CHECK(r.ledger.committed.at(id(1)).applied == 1);
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 1"});
}

TEST_CASE("Receiver closes without an answer when the sender sends ERROR",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, error(SessionErrc::protocol, 5)).empty());
    CHECK_FALSE(a->live);
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver answers PING once it has been greeted", "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    r.exchange(a, bytes_of(hello_of(1, 1)));
    CHECK(r.exchange(a, ping(5)) == Observed{"pong 5"});
    CHECK(r.exchange(a, start(1) + ping(6)) == Observed{"pong 6", "ack 0"});
    CHECK(r.exchange(a, bytes_of(Frame{.type = FrameType::pong, .number = 1})).empty());
}

// ---- authorization ------------------------------------------------------------------------------

TEST_CASE("Receiver authorizes before anything else, so a forged HELLO cannot fence a sender",
          "[session][receiver][unit]") {
    Guarded r;
    auto victim = r.attached(with_token(hello_of(1, 1), "ticket"));
    const auto greet = [&](const Hello& h) {
        auto a = r.connect();
        return r.exchange(a, bytes_of(h));
    };
    CHECK(greet(with_token(pinned_hello_of(1, 99), "forged")) == Observed{"error forbidden 0"});
    CHECK(greet(with_token(pinned_hello_of(1, 99), "nobody")) == Observed{"error unauthorized 0"});
    CHECK(greet(pinned_hello_of(1, 99)) == Observed{"error forbidden 0"});
    // The answer is the same for journals that exist and for others.
    CHECK(greet(with_token(hello_of(8, 1), "forged")) == Observed{"error forbidden 0"});
    CHECK(victim->sent_frames().empty());
    CHECK(r.exchange(victim, data(1, "x")) == Observed{"ack 1"});
    CHECK(greet(with_token(pinned_hello_of(1, 2), "ticket")) == Observed{"welcome known 1"});
}

// ---- what ends each state of a peer, and which connection is closed: docs/reference/formats/session-protocol.md,
// section 10 ----

TEST_CASE("Receiver closes a connection that sends no HELLO in time", "[session][receiver][unit]") {
    ReceiverRig<> r{{.greeting_max = 3s}};
    auto silent = r.connect();
    CHECK(r.receiver.deadline() == at(3s));
    r.run(2999ms);
    CHECK(silent->live);
    r.run(3s);
    CHECK(silent->sent_frames() == Observed{"error protocol 0"});
    CHECK_FALSE(silent->live);
    CHECK(r.receiver.deadline() == never);
}

TEST_CASE("Receiver closes a connection that sends no START in time, also if it sends other frames",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.greeting_max = 3s}};
    r.run(1s);
    auto pending = r.connect();
    r.run(2s);
    CHECK(r.exchange(pending, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
    CHECK(r.receiver.deadline() == at(5s));
    for (const Duration t : {3s, 4s}) {
        r.run(t);
        CHECK(r.exchange(pending, ping(1)) == Observed{"pong 1"});
    }
    r.run(4999ms);
    CHECK(pending->live);
    r.run(5s);
    CHECK(pending->sent_frames() == Observed{"error protocol 0"});
    CHECK_FALSE(pending->live);
    CHECK(r.receiver.connections() == 0);
    // A connection that has sent START in time does not end so.
    auto a = r.attached(hello_of(1, 2));
    CHECK(r.receiver.deadline() == at(15s));
}

TEST_CASE("Receiver that is late gives a pending connection its time once more",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.greeting_max = 3s}};
    auto pending = r.connect();
    CHECK(r.exchange(pending, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
    // The ledger blocked for another sender, and WELCOME left after that.
    r.run(4s);
    CHECK(pending->live);
    SECTION("it continues") {
        r.now += 4s;
        CHECK(r.exchange(pending, start(1)) == Observed{"ack 0"});
    }
    SECTION("it stays silent") {
        r.run(7s);
        CHECK(pending->sent_frames() == Observed{"error protocol 0"});
        CHECK_FALSE(pending->live);
    }
}

TEST_CASE("Receiver without an authorizer keeps the older pending connection of a sender",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.greeting_max = 3s, .connections_max = 4}};
    auto first = r.connect();
    CHECK(r.exchange(first, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
    r.run(1s);
    for (unsigned journal = 2; journal < 250; ++journal) {
        auto next = r.connect();
        CHECK(r.exchange(next, bytes_of(hello_of(journal, 1))) ==
              Observed{"error overloaded 2000"});
        CHECK_FALSE(next->live);
    }
    CHECK(first->live);
    // Connections of other senders are accepted meanwhile.
    Hello other = hello_of(7, 1);
    other.sender = id(2);
    r.attached(other);
    CHECK(r.exchange(first, start(1)) == Observed{"ack 0"});
}

TEST_CASE("Receiver pings a silent sender, and closes it without an answer",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    auto frozen = r.attached(hello_of(1, 1));
    r.run(10s);
    CHECK(frozen->sent_frames() == Observed{"ping 1"});
    r.run(20s);
    CHECK(frozen->sent_frames() == Observed{"ping 2"});
    r.run(24s);
    CHECK(frozen->live);
    SECTION("the sender stays silent") {
        r.run(25s);
        CHECK_FALSE(frozen->live);
        CHECK(r.receiver.connections() == 0);
        CHECK(r.receiver.deadline() == never);
        auto back = r.connect();
        CHECK(r.exchange(back, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 0"});
    }
    SECTION("the sender answers") {
        CHECK(r.exchange(frozen, bytes_of(Frame{.type = FrameType::pong, .number = 2})) ==
              Observed{"pong 0"});
        r.run(33s);
        CHECK(frozen->live);
        CHECK(r.receiver.deadline() == at(34s));
    }
}

TEST_CASE("Receiver evicts unknown peers for new connections, never senders",
          "[session][receiver][regression]") {
    Guarded r{{.connections_max = 4, .linger_max = 2s}};
    auto sender = r.attached(with_token(hello_of(1, 1), "ticket"));
    Hello other = with_token(hello_of(2, 1), "ticket");
    other.sender = id(2);
    auto pending = r.connect();
    r.exchange(pending, bytes_of(other));
    auto unknown_peer = r.connect();
    auto talker = r.connect();
    r.notes.take();
    SECTION(
        "a random silent one, so a flood of them does not exclude a peer that is about to send") {
        int survivors = 0;
        for (int i = 0; i < 200; ++i) {
            auto new_peer = r.connect();
            CHECK(new_peer->live);
            CHECK(r.receiver.connections() == 4);
            r.connect();
            survivors += new_peer->live ? 1 : 0;
        }
        CHECK_FALSE(unknown_peer->live);
        CHECK_FALSE(talker->live);
        CHECK(survivors > 50);
        CHECK(survivors < 150);
        CHECK(r.notes.take().size() == 400);  // each one is rejected as overloaded
    }
    SECTION("none whose HELLO has arrived") {
        Hello third = with_token(hello_of(3, 1), "ticket");
        third.sender = id(3);
        unknown_peer->say(bytes_of(third));
        talker->say(ping(1));
        r.receiver.accept(RawTransport{r.lines});
        CHECK(unknown_peer->live);
        CHECK(talker->live);
        r.run();
        CHECK(unknown_peer->sent_frames() == Observed{"welcome new"});
    }
    SECTION("a connection that is closing already is evicted first") {
        talker->answers_close = false;
        CHECK(r.exchange(talker, ping(1)) == Observed{"error protocol 11"});
        CHECK(talker->live);
        auto new_peer = r.connect();
        CHECK_FALSE(talker->live);
        CHECK(unknown_peer->live);
        CHECK(new_peer->live);
    }
    SECTION("many in one turn") {
        for (int i = 0; i < 100; ++i) r.receiver.accept(RawTransport{r.lines});
        CHECK(r.receiver.connections() == 4);
        r.run();
        CHECK(r.receiver.connections() == 4);
        CHECK(r.lines.back()->live);
    }
    CHECK(sender->live);
    CHECK(pending->live);
    CHECK(r.exchange(sender, data(1, "x")) == Observed{"ack 1"});
    CHECK(r.exchange(pending, start(1)) == Observed{"ack 0"});
}

namespace {

// A HELLO of one of several senders, which differ by their number.
Hello hello_of_sender(unsigned sender) {
    Hello h = hello_of(sender, 1);
    h.sender = id(sender);
    return h;
}

}  // namespace

TEST_CASE("Receiver closes a new connection at once when senders use all places",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.connections_max = 2}};
    auto first = r.attached(hello_of_sender(1));
    auto second = r.attached(hello_of_sender(2));
    r.notes.take();
    r.receiver.accept(RawTransport{r.lines});
    CHECK(r.lines.size() == 2);  // it is not even opened
    CHECK(r.receiver.connections() == 2);
    r.run();
    CHECK(r.notes.take() == Observed{"rejected 0: 10"});
}

TEST_CASE("Receiver without an authorizer evicts pending connections last",
          "[session][receiver][regression]") {
    const auto fill = [&](auto& r) {
        for (unsigned sender = 1; sender <= 3; ++sender) {
            auto line = r.connect();
            CHECK(r.exchange(line, bytes_of(with_token(hello_of_sender(sender), "ticket"))) ==
                  Observed{"welcome new"});
        }
    };
    ReceiverRig<> open{{.connections_max = 3}};
    fill(open);
    auto new_peer = open.connect();
    CHECK(new_peer->live);
    CHECK(open.receiver.connections() == 3);
    // The output that a connection writes does not count as a message from its peer.
    for (const auto& line : open.lines) line->link.written();
    open.receiver.accept(RawTransport{open.lines});
    CHECK(open.lines.size() == 5);
    Guarded guarded{{.connections_max = 3}};
    fill(guarded);
    guarded.receiver.accept(RawTransport{guarded.lines});
    CHECK(guarded.lines.size() == 3);
}

TEST_CASE("Receiver limits the senders that it remembers", "[session][receiver][unit]") {
    ReceiverRig<> r{{.senders_max = 2}};
    auto first = r.attached(hello_of_sender(1));
    auto second = r.attached(hello_of_sender(2));
    auto third = r.connect();
    CHECK(r.exchange(third, bytes_of(hello_of_sender(3))) == Observed{"welcome new"});
    CHECK(r.exchange(third, start(1)) == Observed{"error overloaded 0"});
    CHECK(r.receiver.connections() == 2);
    // A known sender may still connect.
    auto again = r.connect();
    Hello h = hello_of_sender(2);
    h.attach = 2;
    CHECK(r.exchange(again, bytes_of(h)) == Observed{"welcome known 0"});
    // The place of a connection that has ended is free.
    first->link.closed();
    r.run();
    r.attached(hello_of_sender(3));
}

TEST_CASE("Receiver does not remember a sender whose HELLO it rejected",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.senders_max = 1}};
    for (unsigned sender = 2; sender < 20; ++sender) {
        Hello h = pinned_hello_of(1, 1);
        h.sender = id(sender);
        auto a = r.connect();
        CHECK(r.exchange(a, bytes_of(h)) == Observed{"error unknown_journal 0"});
    }
    auto correct = r.connect();
    CHECK(r.exchange(correct, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
    CHECK(r.exchange(correct, start(1)) == Observed{"ack 0"});
}

TEST_CASE("Receiver treats a part of a message as a sign of life",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    auto slow = r.attached(hello_of(1, 1));
    for (auto t = 1s; t < 100s; t += 1s) {
        r.run(t);
        slow->link.pong();
    }
    r.run(100s);
    CHECK(slow->live);
    // The receiver sends no PING, but a sign of life each second.
    CHECK(slow->sent_frames() == Observed(99, "pong 0"));
}

TEST_CASE("Receiver rejects an attach number that would lock its journal out for ever",
          "[session][receiver][regression]") {
    constexpr std::uint64_t most = std::uint64_t{1} << 20U;
    const auto attach = [](std::uint64_t run) { return run << 32U | 1; };
    const auto refusal = [](std::uint64_t run) {
        return Observed{"error far_ahead " + std::to_string(run << 32U | 0xFFFF'FFFF)};
    };
    ReceiverRig<> r;
    for (const std::uint64_t too_far : {attach(most + 1), ~std::uint64_t{0}}) {
        auto a = r.connect();
        CHECK(r.exchange(a, bytes_of(hello_of(1, too_far))) == refusal(most));
    }
    r.attached(hello_of(1, attach(most)));
    // A connection without an operation does not raise the limit.
    auto higher = r.connect();
    CHECK(r.exchange(higher, bytes_of(pinned_hello_of(1, attach(2 * most)))) ==
          Observed{"welcome known 0"});
    for (const std::uint64_t too_far : {attach(2 * most + 1), ~std::uint64_t{0}}) {
        auto a = r.connect();
        CHECK(r.exchange(a, bytes_of(pinned_hello_of(1, too_far))) == refusal(2 * most));
    }
    CHECK(r.exchange(higher, data(1, "x")) == Observed{"ack 1"});
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, attach(3 * most)))) ==
          Observed{"welcome known 1"});
    // The operator can create a new journal, which begins with its first run.
    auto fresh = r.connect();
    CHECK(r.exchange(fresh, bytes_of(hello_of(2, attach(1)))) == Observed{"welcome replaces 1"});
}

TEST_CASE("Receiver accepts any number of restarts from an authorized sender",
          "[session][receiver][regression]") {
    // The sender crashed at each start while the receiver was down: before its first operation, and
    // later.
    constexpr std::uint64_t many = std::uint64_t{1} << 20U;
    const auto attach = [](std::uint64_t run) { return run << 32U | 1; };
    const auto says = [&](Hello h) { return bytes_of(with_token(h, "ticket")); };
    Guarded r;
    auto a = r.connect();
    CHECK(r.exchange(a, says(hello_of(1, attach(2 * many)))) == Observed{"welcome new"});
    CHECK(r.exchange(a, start(attach(2 * many))) == Observed{"ack 0"});
    CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
    auto b = r.connect();
    CHECK(r.exchange(b, says(pinned_hello_of(1, attach(40 * many)))) ==
          Observed{"welcome known 1"});
    CHECK(r.exchange(b, data(2, "y")) == Observed{"ack 2"});
    // A journal cannot have been opened so often that no run is left.
    auto bogus = r.connect();
    const std::uint64_t half = 40 * many + (0xFFFF'FFFF - 40 * many) / 2;
    CHECK(r.exchange(bogus, says(pinned_hello_of(1, ~std::uint64_t{0}))) ==
          Observed{"error far_ahead " + std::to_string(half << 32U | 0xFFFF'FFFF)});
    auto c = r.connect();
    CHECK(r.exchange(c, says(pinned_hello_of(1, attach(40 * many + 1)))) ==
          Observed{"welcome known 2"});
}

TEST_CASE("Receiver accepts a token of 4 KiB, and no longer one",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    const std::string longest(token_bytes_max, 't');
    // append_hello rejects this token.
    Bytes hello = bytes_of(with_token(hello_of(1, 1), longest));
    auto a = r.connect();
    CHECK(r.exchange(a, hello) == Observed{"welcome new"});
    a->link.closed();
    Bytes payload{hello.begin() + frame_header_bytes, hello.end()};
    payload.push_back(std::byte{'t'});
    store_le<std::uint16_t>(payload.data() + 104, token_bytes_max + 1);
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(Frame{.type = FrameType::hello,
                                       .aux = 1U << 20U,
                                       .number = 1,
                                       .payload = payload})) == Observed{"error protocol 1"});
}

TEST_CASE("Receiver serves a flood in bounded turns, and other senders meanwhile",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.messages_max = 8, .events_per_turn_max = 2}};
    auto flood = r.attached(hello_of(1, 1));
    Hello other = hello_of(2, 1);
    other.sender = id(2);
    auto idle_peer = r.attached(other);
    for (std::uint64_t n = 1; n <= 8; ++n)
        CHECK(flood->say(data(n, "x")) == belay::driver::Post::taken);
    CHECK(flood->say(data(9, "x")) == belay::driver::Post::full);
    idle_peer->say(data(1, "y"));
    r.receiver.advance(at({}));
    CHECK(idle_peer->sent_frames() == Observed{"ack 1"});
    CHECK(flood->sent_frames() == Observed{"ack 2"});
    r.run();
    CHECK(flood->resumes == 1);
    CHECK(flood->sent_frames() == Observed{"ack 4", "ack 6", "ack 8"});
}

TEST_CASE("Receiver is idle while it closes the connection of a rejected flood",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.messages_max = 4, .linger_max = 2s}};
    auto a = r.attached(hello_of(1, 1));
    a->answers_close = false;
    a->say(data(5, "gap"));
    while (a->say(data(6, "x")) == belay::driver::Post::taken) {
    }
    r.run();  // the receiver waits without spinning
    CHECK(a->sent_frames() == Observed{"error gap 1"});
    CHECK(a->live);
    CHECK(a->say(data(1, "x")) == belay::driver::Post::gone);
    CHECK(r.receiver.deadline() == at(2s));
    r.run(2s);
    CHECK_FALSE(a->live);
    CHECK(r.receiver.connections() == 0);
}

// ---- a ledger that fails ------------------------------------------------------------------------

namespace {

/// Requires that the notes have the failure of one sender, and removes it.
void forget_note_of_sender(ReceiverNotes& notes) {
    const auto is_of_sender = [](const std::string& note) {
        return note.starts_with("sender failed");
    };
    CHECK(std::erase_if(notes.observed, is_of_sender) == 1);
}

}  // namespace

TEST_CASE("Receiver serves the others while its ledger cannot apply the operation of one sender",
          "[session][receiver][fault]") {
    ReceiverRig<> r{{.commit_within = 5ms}};
    const std::error_code bad = make_error_code(std::errc::invalid_argument);
    Hello of_other = hello_of(2, 1);
    of_other.sender = id(2);
    auto other = r.attached(of_other);
    auto line = r.attached(hello_of(1, 1));
    CHECK(r.exchange(other, data(1, "o")).empty());
    r.ledger.apply_fails_for = "poison";
    r.ledger.apply_fails = bad;

    line->say(data(1, "before") + data(2, "poison") + data(3, "after"));
    r.run();
    CHECK(line->sent_frames() == Observed{"error storage 0"});
    CHECK(other->sent_frames() == Observed{"ack 1"});  // committed at once
    CHECK(r.notes.take() == Observed{"rejected 1: 13", "sender failed 1: 22", "committed 2 at 1",
                                     "committed 1 at 1"});
    CHECK_FALSE(r.receiver.failed());
    CHECK(r.ledger.effects == Observed{"o", "before"});

    // The sender comes back with the same operation, and the line of others goes on.
    for (std::uint64_t attach = 2; attach < 5; ++attach) {
        auto again = r.connect();
        CHECK(r.exchange(again, bytes_of(pinned_hello_of(1, attach))) ==
              Observed{"welcome known 1"});
        CHECK(r.exchange(again, data(2, "poison")) == Observed{"error storage 0"});
        r.run(r.now + 5ms);
        CHECK(r.exchange(other, data(attach, "p")).empty());
        r.run(r.now + 5ms);
        CHECK(other->sent_frames() == Observed{"ack " + std::to_string(attach)});
    }
    // A ledger that takes the operation needs no resume().
    r.ledger.apply_fails = {};
    auto last = r.connect();
    CHECK(r.exchange(last, bytes_of(pinned_hello_of(1, 5))) == Observed{"welcome known 1"});
    CHECK(r.exchange(last, data(2, "poison") + data(3, "after")).empty());
    r.run(r.now + 5ms);
    CHECK(last->sent_frames() == Observed{"ack 3"});
    CHECK(r.ledger.effects == Observed{"o", "before", "p", "p", "p", "poison", "after"});
}

TEST_CASE("Receiver serves the others while its ledger cannot adopt the journal of one sender",
          "[session][receiver][fault]") {
    ReceiverRig<> r;
    auto line = r.attached(hello_of(1, 1));
    r.ledger.adopt_fails = make_error_code(std::errc::no_space_on_device);
    Hello hello = hello_of(2, 1);
    hello.sender = id(2);
    auto other = r.connect();
    CHECK(r.exchange(other, bytes_of(hello)) == Observed{"welcome new"});
    CHECK(r.exchange(other, start(1)) == Observed{"error storage 0"});
    CHECK(r.notes.take() == Observed{"rejected 2: 13", "sender failed 2: 28"});
    CHECK(r.exchange(line, data(1, "x")) == Observed{"ack 1"});
    r.ledger.adopt_fails = {};
    hello.attach = 2;
    CHECK(r.exchange(r.attached(hello), data(1, "y")) == Observed{"ack 1"});
}

TEST_CASE(
    "Receiver serves no connection after its ledger has failed, until resume() gets a fresh one",
    "[session][receiver][fault]") {
    ReceiverRig<> r{{.commit_within = 5ms}};
    auto a = r.attached(hello_of(1, 1));
    Hello other = hello_of(2, 1);
    other.sender = id(2);
    auto bystander = r.attached(other);
    auto silent = r.connect();
    CHECK(r.exchange(a, data(1, "x")).empty());
    r.run(5ms);
    CHECK(a->sent_frames() == Observed{"ack 1"});
    r.notes.take();

    SECTION("in apply, after which the commit fails, too") {
        r.ledger.apply_fails = r.ledger.commit_fails = eio;
        a->say(data(2, "y") + data(3, "z"));
        r.run();
        CHECK(r.ledger.log.back() == "commit");
        forget_note_of_sender(r.notes);
    }
    SECTION("in apply, which has changed the progress") {
        r.ledger.apply_fails = eio;
        r.ledger.on_apply_failure = [&] { ++r.ledger.applied[id(1)].applied; };
        a->say(data(2, "y") + data(3, "z"));
        r.run();
        CHECK(r.ledger.log.back() == "apply 2");
        forget_note_of_sender(r.notes);
    }
    SECTION("in apply, which has lost what another sender has done") {
        CHECK(r.exchange(bystander, data(1, "b")).empty());
        r.ledger.apply_fails = eio;
        r.ledger.on_apply_failure = [&] { r.ledger.applied = r.ledger.committed; };
        a->say(data(2, "y"));
        r.run();
        CHECK(r.ledger.log.back() == "apply 2");
        forget_note_of_sender(r.notes);
    }
    SECTION("in commit") {
        r.ledger.commit_fails = eio;
        CHECK(r.exchange(a, data(2, "y")).empty());
        r.run(10ms);
    }
    SECTION("in commit, for a newer connection") {
        r.ledger.commit_fails = eio;
        CHECK(r.exchange(a, data(2, "y")).empty());
        auto newer = r.connect();
        CHECK(r.exchange(newer, bytes_of(pinned_hello_of(1, 2))) == Observed{"error storage 0"});
        CHECK(a->sent_frames() == Observed{"error superseded 2"});
        a->messages.push_back(error(SessionErrc::storage));
        r.notes.observed.erase(r.notes.observed.begin());
    }
    SECTION("in adopt, after which the commit fails, too") {
        r.ledger.adopt_fails = r.ledger.commit_fails = eio;
        Hello third = hello_of(3, 1);
        third.sender = id(3);
        auto adopting = r.connect();
        CHECK(r.exchange(adopting, bytes_of(third)) == Observed{"welcome new"});
        CHECK(r.exchange(adopting, start(1)) == Observed{"error storage 0"});
        forget_note_of_sender(r.notes);
    }
    CHECK(a->sent_frames() == Observed{"error storage 0"});
    CHECK(bystander->sent_frames() == Observed{"error storage 0"});
    CHECK(silent->sent_frames() == Observed{"error storage 0"});
    CHECK(r.receiver.connections() == 0);
    CHECK(r.receiver.failed() == eio);
    CHECK(r.notes.observed.back() == "failed: " + std::to_string(eio.value()));

    // The receiver sends no greeting while the state of the ledger is unknown.
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, 7))) == Observed{"error storage 0"});

    // A fresh ledger has only the durable data.
    const auto committed = r.ledger.committed;
    r.ledger = {};
    r.ledger.applied = r.ledger.committed = committed;
    auto waiting = r.connect();
    r.receiver.resume(LedgerView{r.ledger});
    CHECK_FALSE(r.receiver.failed());
    CHECK(r.exchange(waiting, bytes_of(pinned_hello_of(1, 8))) == Observed{"welcome known 1"});
    CHECK(r.exchange(waiting, data(2, "y")).empty());
    r.run(r.now + 5ms);
    CHECK(waiting->sent_frames() == Observed{"ack 2"});
}

TEST_CASE("Receiver resumes while connections of the failed ledger are still closing",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.commit_within = 5ms}};
    Hello low = hello_of(1, 1);
    auto old = r.attached(low);
    old->answers_close = false;
    CHECK(r.exchange(old, data(1, "x")).empty());
    r.ledger.commit_fails = eio;
    r.run(5ms);
    REQUIRE(r.receiver.failed());
    r.ledger.commit_fails.clear();
    r.receiver.resume(LedgerView{r.ledger});
    // The HELLO of another sender commits the pending operations of the first one, whose old
    // connection does not matter.
    Hello h = hello_of(2, 1);
    h.sender = id(2);
    auto b = r.attached(h);
    CHECK(r.exchange(b, data(1, "y")).empty());
    h = hello_of(3, 1);
    h.sender = id(3);
    r.notes.take();
    auto c = r.attached(h);
    CHECK(b->sent_frames() == Observed{"ack 1"});
    CHECK(r.exchange(c, data(1, "z")).empty());
    r.run(10ms);
    CHECK(c->sent_frames() == Observed{"ack 1"});
    CHECK(r.notes.take() == Observed{"committed 3 at 1"});
}

TEST_CASE("Receiver::stop makes everything durable and closes its connections",
          "[session][receiver][unit]") {
    ReceiverRig<> r{{.commit_within = 10s}};
    auto a = r.attached(hello_of(1, 1));
    auto silent = r.connect();
    CHECK(r.exchange(a, data(1, "x")).empty());
    r.receiver.stop();
    CHECK(r.ledger.committed.at(id(1)).applied == 1);
    CHECK(a->sent_frames() == Observed{"ack 1"});
    CHECK(a->closed_gracefully);
    CHECK(silent->closed_gracefully);
    r.run();
    CHECK(r.receiver.connections() == 0);
    CHECK(r.notes.take() == Observed{"committed 1 at 1"});
    // A server that still listens may accept further connections.
    auto b = r.connect();
    CHECK(r.exchange(b, bytes_of(pinned_hello_of(1, 2))) == Observed{"welcome known 1"});
}

TEST_CASE("Receiver does not need a graceful close of its transport", "[session][receiver][unit]") {
    struct Abrupt {
        explicit Abrupt(std::shared_ptr<RawLink> line) : inner{std::move(line)} {}
        SendResult send(const Bytes& m) noexcept { return inner.send(m); }
        RawConnection inner;
    };
    ReceiverRig<AllowAll, RawTransport<Abrupt>> r;
    auto a = r.attached(hello_of(1, 1));
    CHECK(r.exchange(a, data(1, "x") + data(5, "gap") + data(2, "y")) == Observed{"error gap 2"});
    CHECK_FALSE(a->live);
    CHECK(r.receiver.connections() == 0);
    CHECK(r.ledger.effects == Observed{"x"});
}

// ---- hooks that destroy the receiver ------------------------------------------------------------

namespace {

struct DestroyingObserver;
using DestroyedReceiver =
    Receiver<RawTransport<>, LedgerView, AllowAll, std::reference_wrapper<DestroyingObserver>>;

/// Destroys the receiver in the hook of this name.
struct DestroyingObserver {
    std::string when;
    int later = 0;  ///< hooks after the destruction
    /// On the heap, so that sanitizers detect a use after its end.
    std::unique_ptr<DestroyedReceiver> receiver{};

    void hook(const char* name) {
        if (!receiver) ++later;
        if (when == name) receiver.reset();
    }
    void on_attached(DestroyedReceiver&, const Id&, const Progress&) { hook("attached"); }
    void on_committed(DestroyedReceiver&, const Id&, const Progress&) { hook("committed"); }
    void on_journal_replaced(DestroyedReceiver&, const Id&, const Progress&) { hook("replaced"); }
    void on_rejected(DestroyedReceiver&, SessionErrc, const Id&) { hook("rejected"); }
    void on_ledger_failed(DestroyedReceiver&, std::error_code) { hook("failed"); }
    void on_sender_failed(DestroyedReceiver&, const Id&, std::error_code) { hook("sender"); }
};

}  // namespace

TEST_CASE("Receiver may be destroyed in every hook", "[session][receiver][unit]") {
    DestroyingObserver d{GENERATE(as<std::string>{}, "attached", "committed", "replaced",
                                  "rejected", "sender", "failed")};
    MemoryLedger ledger;
    RawLinks lines;
    d.receiver =
        std::make_unique<DestroyedReceiver>(LedgerView{ledger}, ReceiverOptions{}, std::ref(d));
    d.receiver->attach(Waker{});
    d.receiver->advance(at({}));
    const auto turn = [&] {
        for (int i = 0; i < 10 && d.receiver; ++i) d.receiver->advance(at({}));
    };
    const auto say = [&](std::size_t line, Bytes message) {
        if (!d.receiver) return;
        while (lines.size() <= line) d.receiver->accept(RawTransport{lines});
        lines[line]->say(std::move(message));
    };
    // There are many events in one turn, so that notices are queued after the one that ends the
    // receiver.
    say(0, bytes_of(hello_of(1, 1)) + start(1));
    turn();
    say(0, data(1, "x") + data(5, "gap"));
    turn();
    say(1, bytes_of(hello_of(2, 1)) + start(1));
    turn();
    turn();
    ledger.apply_fails = ledger.commit_fails = eio;
    say(1, data(1, "y"));
    turn();
    CHECK(d.receiver == nullptr);
    CHECK(d.later == 0);
    for (const auto& line : lines) CHECK_FALSE(line->live);
}

TEST_CASE("Receiver acknowledges nothing after a commit that threw",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    r.ledger.commit_throws = true;
    a->say(data(1, "x"));
    CHECK_THROWS_AS(r.receiver.advance(at(r.now)), std::runtime_error);
    CHECK(a->sent_frames().empty());
    CHECK_THROWS_AS(r.receiver.advance(at(r.now)), std::runtime_error);
    CHECK(a->sent_frames().empty());
    r.ledger.commit_throws = false;
    r.run();
    CHECK(a->sent_frames() == Observed{"ack 1"});
}

TEST_CASE("Receiver ends a connection whose operation threw, so that it is sent again",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    r.ledger.apply_throws = true;
    a->say(data(1, "x"));
    CHECK_THROWS_AS(r.receiver.advance(at(r.now)), std::runtime_error);
    r.run();
    // Without an end, no later operation might come that would show the gap.
    CHECK_FALSE(a->live);
    CHECK(a->sent_frames().empty());
    r.ledger.apply_throws = false;
    auto b = r.attached(pinned_hello_of(1, 2));
    CHECK(r.exchange(b, data(1, "x")) == Observed{"ack 1"});
    CHECK(r.ledger.effects == std::vector<std::string>{"x"});
}

namespace {
struct ThrowingAuthorizer {
    std::error_code operator()(const Id&, BytesView) const {
        throw std::runtime_error{"authorize"};
    }
};
}  // namespace

TEST_CASE("Receiver closes a connection whose authorizer threw at once",
          "[session][receiver][regression]") {
    ReceiverRig<ThrowingAuthorizer> r{{.greeting_max = 10s}};
    auto a = r.connect();
    a->say(bytes_of(hello_of(1, 1)));
    CHECK_THROWS_AS(r.receiver.advance(at(r.now)), std::runtime_error);
    r.run();
    CHECK_FALSE(a->live);
    CHECK(a->sent_frames().empty());
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver closes a connection whose ledger threw at the greeting, and the next one works",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    const bool at_hello = GENERATE(true, false);
    auto a = r.connect();
    if (at_hello) {
        r.ledger.progress_throws = true;
        a->say(bytes_of(hello_of(1, 1)));
    } else {
        REQUIRE(r.exchange(a, bytes_of(hello_of(1, 1))) == Observed{"welcome new"});
        r.ledger.adopt_throws = true;
        a->say(start(1));
    }
    CHECK_THROWS_AS(r.receiver.advance(at(r.now)), std::runtime_error);
    r.run();
    CHECK_FALSE(a->live);
    CHECK(a->sent_frames().empty());
    CHECK(r.ledger.committed.empty());
    r.ledger.progress_throws = r.ledger.adopt_throws = false;
    auto b = r.attached(hello_of(1, 2));
    CHECK(r.exchange(b, data(1, "x")) == Observed{"ack 1"});
}

TEST_CASE("Receiver::stop removes the deadline of a connection that never sent HELLO",
          "[session][receiver][regression]") {
    ReceiverRig<> r{{.greeting_max = 1s}};
    auto silent = r.connect();
    silent->answers_close = false;
    r.receiver.stop();
    r.run(1s);  // run() checks that the deadline has moved on
    r.run(2s);
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver aborts on options with which it could serve no sender",
          "[session][receiver][unit]") {
    const auto aborts = [](const ReceiverOptions& options, const std::string& sentence) {
        CHECK(options.check() == "ReceiverOptions: " + sentence);
        const std::string output = aborts_with([&] { const ReceiverRig<> r{options}; });
        return output.find("ReceiverOptions: " + sentence) != std::string::npos;
    };
    const std::string counts = "connections_max, senders_max and messages_max must be > 0";
    CHECK(aborts({.connections_max = 0}, counts));
    CHECK(aborts({.senders_max = 0}, counts));
    CHECK(aborts({.messages_max = 0}, counts));
    const std::string turns = "greeting_max and events_per_turn_max must be > 0";
    CHECK(aborts({.greeting_max = 0s}, turns));
    CHECK(aborts({.events_per_turn_max = 0}, turns));
    const std::string durations = "commit_within and linger_max must be >= 0ns";
    CHECK(aborts({.commit_within = -1ns}, durations));
    CHECK(aborts({.linger_max = -1ns}, durations));
    CHECK(aborts({.limits = {.number_window = 0}},
                 "limits.number_window must be > 0, or no sender may send"));
    const std::string payload = "limits.payload_bytes_max must be from 1 to 16777216";
    CHECK(aborts({.limits = {.payload_bytes_max = 0}}, payload));
    CHECK(aborts({.limits = {.payload_bytes_max = payload_bytes_ceiling + 1}}, payload));
    const ReceiverOptions beats{.heartbeat = {.every = 2s, .dead_after = 1s}};
    CHECK(beats.check() == beats.heartbeat.check());
}

TEST_CASE("Receiver aborts if its ledger returns other progress than it was given",
          "[session][receiver][unit]") {
    const auto output = [](const auto& stores, std::uint64_t from) {
        return aborts_with([&] {
            ReceiverRig<> r;
            r.ledger.stores = [&](Progress& p) {
                if (p.applied >= from) stores(p);
            };
            auto a = r.attached(hello_of(1, 1));
            a->say(data(1, "one"));
            r.run();
        });
    };
    const auto finds = [](const std::string& text, const char* sentence) {
        return text.find(sentence) != std::string::npos;
    };
    const std::string kept = "did not abort";
    CHECK(output([](Progress&) {}, 0) == kept);
    const auto each = {+[](Progress& p) { p.journal = id(9); }, +[](Progress& p) { ++p.attach; },
                       +[](Progress& p) { --p.applied; }, +[](Progress& p) { ++p.check; }};
    for (const auto& stores : each) {
        CHECK(finds(output(stores, 0), "Receiver: after adopt(sender, p), the ledger's progress"));
        CHECK(finds(output(stores, 1), "Receiver: after apply(sender, p, operation), the ledger"));
    }
}

TEST_CASE("Receiver aborts if the id of its store is all zeros", "[session][receiver][unit]") {
    const auto finds = [](const std::string& text) {
        return text.find(
                   "Receiver: the ledger's store_id() must not be all zeros; draw it once "
                   "with make_id(bits)") != std::string::npos;
    };
    MemoryLedger zero;
    zero.store = no_id;
    CHECK(finds(aborts_with(
        [&] { const Receiver<RawTransport<>, LedgerView> receiver{LedgerView{zero}}; })));
    CHECK(finds(aborts_with([&] {
        ReceiverRig<> r;
        r.ledger.commit_fails = std::make_error_code(std::errc::io_error);
        auto a = r.attached(hello_of(1, 1));
        a->say(data(1, "one"));
        r.run(1s);
        REQUIRE(r.receiver.failed());
        r.receiver.resume(LedgerView{zero});
    })));
}

TEST_CASE("Receiver serves a sender with the least and the greatest of each option",
          "[session][receiver][unit]") {
    const ReceiverOptions least{
        .limits = {.number_window = 1, .byte_window = 0, .payload_bytes_max = 1},
        .commit_within = 0ns,
        .connections_max = 1,
        .senders_max = 1,
        .messages_max = 1,
        .events_per_turn_max = 1,
        .linger_max = 0ns};
    const ReceiverOptions greatest{.limits = {no_limit, no_limit, payload_bytes_ceiling},
                                   .greeting_max = forever,
                                   .heartbeat = {.every = forever - 1ns, .dead_after = forever},
                                   .connections_max = no_limit,
                                   .senders_max = no_limit,
                                   .messages_max = no_limit,
                                   .events_per_turn_max = ~0U,
                                   .linger_max = forever};
    for (const ReceiverOptions& options : {least, greatest}) {
        CHECK(options.check().empty());
        ReceiverRig<> r{options};
        r.run(1s);
        auto a = r.attached(hello_of(1, 1));
        for (unsigned n = 1; n <= 5; ++n) {
            CHECK(r.exchange(a, data(n, "x")) == Observed{"ack " + std::to_string(n)});
        }
        r.receiver.stop();
        r.run();
        CHECK(r.receiver.connections() == 0);
    }
}
