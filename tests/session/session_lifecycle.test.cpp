// SPDX-License-Identifier: MIT
// Goal: a session reports each event at the right time, blocks on errors that need a decision,
// and stops. Method: the test plays the receiver, frame by frame, and sets the time.
#include <belay/session/session.hpp>

#include <algorithm>
#include <type_traits>

#include <belay/drive/loop.hpp>

#include "support/aborts.hpp"
#include "support/journal/watched_disk.hpp"
#include "support/session/session_rig.hpp"

using namespace belay;
using namespace belay::session_format;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {
using Rig = SessionRig<>;

const std::error_code enospc = std::make_error_code(std::errc::no_space_on_device);

/// Checks that a failed journal, with one accepted operation before the failure, is reported once.
/// The session sends and accepts nothing more, also after reconnect_now().
void stays_failed(Rig& r) {
    const auto is_failed = [&r] {
        CHECK(r.blocked() == Blocked::journal_failed);
        CHECK(r.state() == LinkState::failed);
        CHECK(r.line().sent_frames().empty());
        CHECK(r.session->status().accepted == 1);
        CHECK(r.session->commit() == eio);
    };
    is_failed();
    Observed reported = r.notes.take();
    std::sort(reported.begin(), reported.end());
    CHECK(reported == Observed{"blocked journal_failed", "failed"});
    CHECK(r.session->send(as_bytes("more")).error() == SessionErrc::journal_failed);
    // The session sends no HELLO either.
    CHECK(r.session->reconnect_now().granted);
    r.run();
    is_failed();
}
void leave_no_space(sim::Disk& disk) {
    std::uint64_t used = 0;
    for (const auto& [path, bytes] : disk.image()) used += bytes.size();
    disk.limit_bytes(used);
}
/// Gives a new rig a journal that flushes each operation.
void flush_each(Rig& r) {
    auto opened = DiskJournal::open(
        r.disk, "data/each",
        {.flush = Flush::each, .segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{7}});
    REQUIRE(opened.has_value());
    SessionOptions options;
    options.id = id(1);
    r.session =
        std::make_unique<Rig::S>(RawTransport<RawPingedConnection>{r.lines}, patient(),
                                 Rig::Queue{std::move(*opened)}, options, std::ref(r.notes));
    r.session->advance(at({}));
}
}  // namespace

// ---- from send to acknowledged ------------------------------------------------------------------

TEST_CASE("Session is connected when the receiver has adopted its journal",
          "[session][session][unit]") {
    Rig r;
    r.start();
    CHECK(r.line().sent_frames() == Observed{"hello 4294967297 base 1 last 0"});
    CHECK(r.state() == LinkState::connecting);
    CHECK(r.exchange(r.fresh()) == Observed{"start 4294967297"});
    CHECK(r.state() == LinkState::connecting);
    CHECK(r.exchange(ack(0)).empty());
    CHECK(r.state() == LinkState::connected);
    CHECK(r.notes.take() == Observed{"connecting", "connected"});
}

TEST_CASE("Session is connected at once when the receiver knows its journal",
          "[session][session][unit]") {
    Rig r;
    r.send("a");
    r.send("b");
    r.run();
    CHECK(r.notes.take() == Observed{"accepted 2"});  // reported before there is any connection
    r.start();
    CHECK(r.line().sent_frames() == Observed{"hello 4294967297 base 1 last 2"});
    CHECK(r.exchange(r.known(1)) == Observed{"start 4294967297", "data 2 b"});
    CHECK(r.notes.take() == Observed{"connecting", "connected", "acknowledged 1"});
}

TEST_CASE("Session limits its transport to the size of a greeting until it is connected",
          "[session][session][unit]") {
    constexpr std::size_t greeting = frame_header_bytes + greeting_bytes_max;
    Rig r;
    r.start();
    CHECK(r.line().limit == greeting);
    r.exchange(r.fresh());
    CHECK(r.line().limit == greeting);
    r.exchange(ack(0));
    REQUIRE(r.state() == LinkState::connected);
    CHECK(r.line().limit > payload_bytes_ceiling);
    // The next connection has the lower limit again before it receives anything.
    r.line().link.closed();
    r.run();
    r.run(1s);
    REQUIRE(r.lines.size() == 2);
    CHECK(r.line().limit == greeting);
}

TEST_CASE("Session reports accepted before it sends, and acknowledged after delivery",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    const auto first = r.session->send("a");
    REQUIRE(first.has_value());
    CHECK(*first == 1);
    r.send("b");
    CHECK(r.session->status().taken == 2);
    CHECK(r.session->status().accepted == 0);
    CHECK(r.session->depth() == 2);
    CHECK(r.line().sent_frames().empty());  // nothing is sent before it is durable
    const std::uint64_t before = r.disk.operations();
    r.run();
    CHECK(r.notes.take() == Observed{"accepted 2"});  // one flush for both
    CHECK(r.disk.operations() == before + 2);         // a write and a sync
    CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 b"});
    r.exchange(ack(1));
    CHECK(r.notes.take() == Observed{"acknowledged 1"});
    r.exchange(ack(2));
    CHECK(r.notes.take() == Observed{"acknowledged 2"});
    CHECK(r.session->depth() == 0);
    CHECK(r.session->status().acknowledged == 2);
}

TEST_CASE("Session::commit makes queued operations durable, and they are sent later",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    r.send("a");
    CHECK_FALSE(r.session->commit());
    CHECK(r.session->status().accepted == 1);
    CHECK(r.notes.take().empty());
    CHECK(r.session->deadline() == always);
    r.run();
    CHECK(r.notes.take() == Observed{"accepted 1"});
    CHECK(r.line().sent_frames() == Observed{"data 1 a"});
    const std::uint64_t before = r.disk.operations();
    CHECK_FALSE(r.session->commit());
    CHECK(r.disk.operations() == before);  // no operation is left to flush
}

TEST_CASE("Session::send returns the errors of the queue", "[session][session][unit]") {
    Rig r{{}, 2};
    r.send("a");
    r.send("b");
    CHECK(r.session->send(as_bytes("c")).error() == QueueErrc::queue_full);
    CHECK(r.session->send(Bytes(600)).error() == QueueErrc::queue_full);
    r.connect();
    r.run();
    r.exchange(ack(1));
    CHECK(r.session->send(Bytes(600)).error() == QueueErrc::too_large);
    r.session->queue().suspend();
    CHECK(r.session->send(as_bytes("c")).error() == QueueErrc::queue_suspended);
    r.exchange(ack(2));  // operations that were accepted are still delivered
    CHECK(r.session->depth() == 0);
    r.session->queue().resume();
    r.send("c");
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 3 c"});
}

TEST_CASE("Session keeps its operations over stop and start", "[session][session][unit]") {
    Rig r;
    r.connect();
    r.send("a");
    r.run();
    r.send("b");
    r.session->stop();
    CHECK(r.state() == LinkState::stopped);
    r.send("c");
    r.run();
    CHECK(r.notes.take() == Observed{"accepted 1", "stopped", "accepted 3"});
    CHECK(r.session->depth() == 3);
    const std::size_t connections = r.lines.size();
    r.start();
    CHECK(r.lines.size() == connections + 1);
    CHECK(r.line().sent_frames() == Observed{"hello 4294967298 base 1 last 3"});
    CHECK(r.exchange(r.known(1)) == Observed{"start 4294967298", "data 2 b", "data 3 c"});
}

TEST_CASE("Session::drain stops when all operations are acknowledged, or the time is over",
          "[session][session][race]") {
    Rig r;
    r.connect();
    r.send("a");
    r.send("b");
    r.run();
    r.line().sent_frames();
    r.session->drain(10s);
    r.run();
    CHECK(r.session->send(as_bytes("c")).error() == SessionErrc::takes_no_more);
    r.line().say(ack(1));
    r.run(1s);
    CHECK(r.state() == LinkState::connected);
    r.notes.take();
    SECTION("all operations are acknowledged") {
        r.line().say(ack(2));
        r.run();
        CHECK(r.notes.take() == Observed{"acknowledged 2", "stopped"});
        CHECK(r.session->depth() == 0);
    }
    SECTION("over another connection") {
        r.line().link.closed();
        r.run();
        r.run(2s);
        r.exchange(r.known(1));
        CHECK(r.state() == LinkState::connected);
        r.line().say(ack(2));
        r.run();
        CHECK(r.session->depth() == 0);
    }
    SECTION("the time is over: operations stay for the next start") {
        r.run(10s - 1ns);
        CHECK(r.state() == LinkState::connected);
        r.run(10s);
        CHECK(r.session->depth() == 1);
    }
    SECTION("the earliest of several deadlines counts") {
        r.session->drain(1s);
        r.session->drain(1h);
        r.run(2s);
        CHECK(r.session->depth() == 1);
    }
    SECTION("the rest of a deadline that has passed") {
        r.session->drain(-1s);
        r.run();
        CHECK(r.session->depth() == 1);
    }
    CHECK(r.state() == LinkState::stopped);
    // After the stop, the session accepts operations again, and there is nothing to drain.
    r.session->drain(1s);
    r.send("c");
    r.run(r.now + 2s);
    r.start();
    CHECK(r.state() == LinkState::connecting);
}

TEST_CASE("Session::drain before the first turn lets operations leave within its time",
          "[session][session][regression]") {
    Rig r;
    SessionOptions options;
    options.id = id(1);
    r.session.reset();
    r.session =
        std::make_unique<Rig::S>(RawTransport<RawPingedConnection>{r.lines}, patient(),
                                 Rig::Queue{open_journal(r.disk)}, options, std::ref(r.notes));
    r.send("a");
    r.session->start();
    r.session->drain(5s);
    r.session->drain(1h);
    CHECK(r.session->send(as_bytes("b")).error() == SessionErrc::takes_no_more);
    r.run(1000s);
    CHECK(r.state() == LinkState::connecting);
    SECTION("all operations are acknowledged") {
        r.line().say(bytes_of(Welcome{.attach = (std::uint64_t{2} << 32U) + 1,
                                      .payload_bytes_max = 100,
                                      .store = Rig::store}));
        r.run();
        r.exchange(ack(0));
        r.exchange(ack(1));
        CHECK(r.session->depth() == 0);
    }
    SECTION("the time is over") {
        r.run(1005s - 1ns);
        CHECK(r.state() == LinkState::connecting);
        r.run(1005s);
        CHECK(r.session->depth() == 1);
    }
    CHECK(r.state() == LinkState::stopped);
}

TEST_CASE("Session::drain with nothing to acknowledge stops at once", "[session][session][race]") {
    Rig r;
    r.connect();
    SECTION("connected") {}
    SECTION("between two connections") {
        r.line().link.closed();
        r.run();
    }
    SECTION("started in the same turn") {
        r.session->stop();
        r.run();
        REQUIRE(r.state() == LinkState::stopped);
        r.session->start();
    }
    r.session->drain(1h);
    r.run();
    CHECK(r.state() == LinkState::stopped);
}

TEST_CASE("Session keeps a message that the transport did not accept", "[session][session][unit]") {
    Rig r;
    r.connect();
    r.line().answer = SendResult::busy;
    r.send("a");
    r.run();
    CHECK(r.session->deadline() > at(r.now));  // the session waits without spinning
    r.send("b");
    r.run();
    r.line().answer = SendResult::sent;
    SECTION("until the transport is writable") {
        r.line().link.writable();
        r.run();
        CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 b"});
    }
    SECTION("until the connection ends") {
        r.line().link.closed();
        r.run();
        r.run(1s);
        r.exchange(r.known(0));
        CHECK(r.line().sent_frames().empty());
        CHECK(r.session->status().accepted == 2);
    }
}

TEST_CASE("Session continues from the receiver's number after a loss", "[session][session][unit]") {
    Rig r;
    r.connect();
    for (const char* text : {"a", "b", "c"}) r.send(text);
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 b", "data 3 c"});
    r.line().link.closed();
    r.run();
    CHECK(r.state() == LinkState::cooldown);
    r.run(1s);
    CHECK(r.line().sent_frames() == Observed{"hello 4294967298 base 1 last 3"});
    CHECK(r.exchange(r.known(2)) == Observed{"start 4294967298", "data 3 c"});
    CHECK(r.session->status().acknowledged == 2);
}

TEST_CASE("Session limits its messages to batch_bytes", "[session][session][unit]") {
    Rig r{{.batch_bytes = 68}};  // two frames of 34 bytes
    r.connect();
    for (int i = 0; i < 5; ++i) r.send("0123456789");
    r.run();
    CHECK(r.line().messages.size() == 3);
    CHECK(r.line().sent_frames().size() == 5);
}

TEST_CASE("Session sends an operation above batch_bytes as a message of its own",
          "[session][session][regression]") {
    // So a transport that carries the largest operation and its frame carries every message.
    Rig r{{.batch_bytes = 68}};
    r.connect();
    for (const std::size_t bytes : {10U, 90U, 10U, 20U, 11U, 90U, 90U})
        r.send(std::string(bytes, 'x'));
    r.run();
    std::vector<std::size_t> sizes;
    for (const Bytes& message : r.line().messages) sizes.push_back(message.size());
    CHECK(sizes == std::vector<std::size_t>{34, 114, 34, 44, 35, 114, 114});
}

TEST_CASE("Session reports that its journal replaces another", "[session][session][unit]") {
    Rig r;
    r.start();
    r.exchange(bytes_of(Welcome{.attach = r.attach(),
                                .payload_bytes_max = 100,
                                .replaces = true,
                                .store = Rig::store,
                                .replaced_journal = id(77),
                                .replaced_applied = 12}));
    r.exchange(ack(0));
    CHECK(r.notes.take() == Observed{"connecting", "replaced at 12", "connected"});
    CHECK(r.blocked() == Blocked::none);
}

// ---- time ---------------------------------------------------------------------------------------

TEST_CASE("Session closes the connection to a receiver that does not answer HELLO or START",
          "[session][session][unit]") {
    Rig r{{.greeting_max = 3s}};
    r.start();
    const bool welcomed = GENERATE(true, false);
    if (welcomed) r.exchange(r.fresh());
    r.run(2999ms);
    CHECK(r.state() == LinkState::connecting);
    r.run(3s);
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.error() == SessionErrc::silent);
    CHECK(r.session->status().link.failure.cause == Cause::timed_out);
}

TEST_CASE("Session connects although each flush of its disk takes longer than greeting_max",
          "[session][session][regression]") {
    Rig r{{.greeting_max = 3s}};
    r.start();
    // A frame of a turn reaches the receiver after the flush at the end of that turn.
    const auto flush = [&] { r.run(r.now + 4s); };
    flush();
    CHECK(r.line().sent_frames() == Observed{"hello 4294967297 base 1 last 0"});
    r.now += 4s;
    CHECK(r.exchange(r.fresh()) == Observed{"start 4294967297"});
    flush();
    r.now += 4s;
    r.exchange(ack(0));
    CHECK(r.state() == LinkState::connected);
}

TEST_CASE("Session reports once that it is stalled, and again after progress",
          "[session][session][unit]") {
    // The heartbeat is slow, because this receiver sends no pongs.
    Rig r{{.stalled_after = 60s, .heartbeat = {.every = 1h, .dead_after = 2h}}};
    r.connect();
    r.run(100s);
    CHECK(r.notes.take().empty());  // no operation waits
    r.send("a");
    r.send("b");
    r.run();
    CHECK(r.notes.take() == Observed{"accepted 2"});  // the operations have not waited long
    r.exchange(ack(0));
    r.run(159s);
    CHECK(r.notes.take().empty());
    r.run(160s);
    CHECK(r.notes.take() == Observed{"stalled"});
    r.run(1000s);
    CHECK(r.notes.take().empty());
    SECTION("by an ACK") {
        r.exchange(ack(1));
        CHECK(r.notes.take() == Observed{"acknowledged 1"});
        r.run(1060s);
        CHECK(r.notes.take() == Observed{"stalled"});
    }
    SECTION("by a WELCOME") {
        r.line().link.closed();
        r.run();
        r.run(1001s);
        r.exchange(r.known(1));
        r.notes.take();
        r.run(1060s);
        CHECK(r.notes.take().empty());
        r.run(1061s);
        CHECK(r.notes.take() == Observed{"stalled"});
    }
}

TEMPLATE_TEST_CASE("Session monitors its receiver, over any transport", "[session][session][unit]",
                   RawConnection, RawPingedConnection) {
    SessionRig<TestType> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    CHECK(r.session->deadline() == at(10s));
    r.run(10s);
    CHECK(r.line().sent_frames() == Observed{"ping 1"});
    r.run(12s);
    r.exchange(bytes_of(Frame{.type = FrameType::pong, .number = 1}));
    r.run(21s);
    CHECK(r.line().sent_frames().empty());
    r.run(22s);
    CHECK(r.line().sent_frames() == Observed{"ping 2"});
    r.run(32s);
    CHECK(r.line().sent_frames() == Observed{"ping 3"});
    r.run(36s);
    CHECK(r.state() == LinkState::connected);
    r.run(37s);
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.error() == LinkErrc::heartbeat_lost);
}

namespace {

/// A decorator that holds back each end of a connection.
struct HoldsEnds : part::Wrapped<RawPingedConnection, Bytes> {
    explicit HoldsEnds(const std::shared_ptr<RawLink>& line)
        : Wrapped{[&] { return RawPingedConnection{line}; }} {}
    [[nodiscard]] bool sift(part::Event<Bytes>& event, Turn& turn) {
        return event.kind != part::EventKind::closed && Wrapped::sift(event, turn);
    }
};

}  // namespace

TEST_CASE("Session: a decorator that holds ends back keeps no connection that the session gave up",
          "[session][session][unit]") {
    SessionRig<HoldsEnds> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    r.run(10s);
    r.run(20s);
    CHECK(r.line().sent_frames() == Observed{"ping 1", "ping 2"});
    SECTION("the turn that gives the connection up sends, too, and finds the connection down") {
        r.send("a");
        r.run(25s);
    }
    SECTION("an end that the decorator has held back left the connection down") {
        r.line().answer = SendResult::down;
        r.line().link.closed();
        r.send("a");
        r.run();
        CHECK(r.state() == LinkState::connected);
        r.run(25s);
    }
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.error() == LinkErrc::heartbeat_lost);
    r.run(26s);
    r.line().sent_frames();
    CHECK(r.exchange(r.known(0)) == Observed{"start 4294967298", "data 1 a"});
}

TEMPLATE_TEST_CASE("Session::probe_now closes a connection whose receiver does not answer",
                   "[session][session][unit]", RawConnection, RawPingedConnection) {
    SessionRig<TestType> r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.session->probe_now(1s);  // no connection to probe
    r.connect();
    r.run(5s);
    r.session->advance(at(5s));  // advance() without a drive by a driver
    CHECK(r.line().sent_frames().empty());
    r.session->probe_now(2s);
    r.run();
    CHECK(r.line().sent_frames() == Observed{"ping 1"});
    SECTION("no answer") {
        r.run(6999ms);
        CHECK(r.state() == LinkState::connected);
        r.run(7s);
        CHECK(r.state() == LinkState::cooldown);
        CHECK(r.session->status().link.failure.error() == LinkErrc::heartbeat_lost);
    }
    SECTION("a pong") {
        r.run(6s);
        r.exchange(bytes_of(Frame{.type = FrameType::pong, .number = 1}));
        r.run(15s);
        CHECK(r.state() == LinkState::connected);
        CHECK(r.session->deadline() == at(16s));
    }
}

TEST_CASE("Session::probe_now accepts an answer at the instant of the last sign of life",
          "[session][session][regression]") {
    const bool answered = GENERATE(true, false);
    Rig r;
    r.connect();
    r.run(3s);
    r.exchange(ping(5));
    r.session->probe_now(2s);
    r.run();
    CHECK(r.line().sent_frames() == Observed{"ping 1"});
    if (answered) r.exchange(bytes_of(Frame{.type = FrameType::pong, .number = 1}));
    r.run(5s);
    CHECK(r.state() == (answered ? LinkState::connected : LinkState::cooldown));
}

TEST_CASE("Session::probe_now works also if a silent receiver is never given up",
          "[session][session][regression]") {
    Rig r{{.heartbeat = {.every = 10s, .dead_after = forever}}};
    r.connect();
    r.run(1h);
    CHECK(r.state() == LinkState::connected);
    r.line().sent_frames();
    r.session->probe_now(5s);
    r.run();
    CHECK(r.line().sent_frames().size() == 1);
    r.run(1h + 5s);
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.error() == LinkErrc::heartbeat_lost);
}

TEST_CASE("Session::probe_now with the rest of a deadline that has passed does nothing",
          "[session][session][unit]") {
    Rig r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    r.run(5s);
    const Duration rest = GENERATE(as<Duration>{}, 0s, -1ns, Duration::min());
    r.session->probe_now(rest);
    r.run(6s);
    CHECK(r.line().sent_frames().empty());
    CHECK(r.state() == LinkState::connected);
}

TEST_CASE("Session with a token above 4 KiB fails each attempt, and sends nothing",
          "[session][session][unit]") {
    const std::size_t above = GENERATE(as<std::size_t>{}, 0, 1, 65'536);
    Rig r{{.token = Bytes(session_format::token_bytes_max + above)}};
    r.start();
    REQUIRE(!r.lines.empty());
    r.line().link.opened();
    r.run();
    const bool fits = above == 0;
    CHECK(r.line().messages.empty() != fits);
    const Failure failure = r.session->status().link.failure;
    CHECK((failure.error() == SessionErrc::token_too_long) != fits);
    CHECK((failure.cause == Cause::permanent) != fits);
    CHECK(r.session->status().blocked == Blocked::none);
    // The queue continues to take operations.
    CHECK(r.session->send(as_bytes("a")).has_value());
}

namespace {

/// A framing for text that does not declare this: it rejects each message of bytes.
class RefusingConnection : public RawConnection {
public:
    explicit RefusingConnection(std::shared_ptr<RawLink> link) : RawConnection{std::move(link)} {
        line_->answer = SendResult::rejected;
    }
};

}  // namespace

TEST_CASE("Session over a transport that refuses its first message reports the reason",
          "[session][session][unit]") {
    SessionRig<RefusingConnection> r;
    r.start();
    CHECK(r.state() == LinkState::failed);
    CHECK(r.session->status().link.failure.error() == SessionErrc::hello_rejected);
    CHECK(r.session->status().blocked == Blocked::none);
}

TEST_CASE("Session treats a part of a message as a sign of life",
          "[session][session][regression]") {
    Rig r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    for (auto t = 1s; t < 100s; t += 1s) {
        r.run(t);
        r.line().link.pong(false);
    }
    r.run(100s);
    CHECK(r.state() == LinkState::connected);
    CHECK(r.line().sent_frames().empty());
}

TEST_CASE("Session does not treat a pong of the transport as a sign of life of the receiver",
          "[session][session][regression]") {
    // A load balancer answers the pings, although the receiver has ended.
    Rig r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    for (auto t = 1s; t <= 25s; t += 1s) {
        r.line().link.pong();
        r.run(t);
    }
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.error() == LinkErrc::heartbeat_lost);
}

TEST_CASE("Session does not treat a writable transport as a sign of life",
          "[session][session][regression]") {
    Rig r{{.heartbeat = {.every = 10s, .dead_after = 25s}}};
    r.connect();
    for (auto t = 1s; t <= 25s; t += 1s) {
        r.line().link.writable();
        r.run(t);
    }
    CHECK(r.state() == LinkState::cooldown);
}

TEST_CASE("Session sends its ERROR, also when many bad messages arrive at once",
          "[session][session][regression]") {
    Rig r;
    r.connect();
    r.line().answers_close = false;
    for (int i = 0; i < 3; ++i) r.line().say(data(1, "no"));
    r.run();
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.line().closed_gracefully);
    CHECK(r.line().live);
    CHECK(r.line().sent_frames().front() == "error protocol 4");
}

// ---- blocking errors ---------------------------------------------------------------------------

TEST_CASE("Session reports that it is blocked, and still accepts operations",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    r.send("a");
    r.send("b");
    r.run();
    r.exchange(ack(1));
    r.line().link.closed();
    r.run();
    r.run(1s);
    r.line().sent_frames();
    r.notes.take();
    const auto [message, blocked] =
        GENERATE(table<int, Blocked>({{0, Blocked::receiver_lost_state},
                                      {1, Blocked::receiver_lost_state},
                                      {2, Blocked::receiver_lost_state},
                                      {3, Blocked::receiver_rolled_back},
                                      {4, Blocked::sender_rolled_back},
                                      {5, Blocked::diverged},
                                      {6, Blocked::fenced},
                                      {7, Blocked::too_large}}));
    const auto welcome = [&](std::uint64_t applied, std::uint64_t check, Id of = Rig::store) {
        return bytes_of(Welcome{.attach = r.attach(),
                                .payload_bytes_max = 100,
                                .known = true,
                                .store = of,
                                .applied = applied,
                                .check = check,
                                .number_limit = 100});
    };
    const Bytes messages[] = {
        r.fresh(),
        welcome(1, 0, id(99)),
        error(SessionErrc::unknown_journal, 0, id(99)),
        welcome(0, 0),
        welcome(3, 0),
        welcome(2, 1),
        error(SessionErrc::fenced, 99),
        error(SessionErrc::too_large, 1),
    };
    CHECK(r.exchange(messages[message]).empty());  // no DATA
    CHECK(r.state() == LinkState::failed);
    CHECK(r.blocked() == blocked);
    CHECK(r.notes.take() == Observed{"failed", "blocked " + std::string{to_string(blocked)}});
    const BlockedDetails details = r.session->status().details;
    CHECK(details.acked == 1);
    CHECK(details.last == 2);
    CHECK(details.pinned_store == Rig::store);
    if (message <= 2 && message > 0) CHECK(details.receiver_store == id(99));
    if (message == 4) CHECK(details.applied == 3);
    if (message == 6) CHECK(details.attach == 99);
    // The session accepts operations, and does not connect by itself.
    r.send("c");
    r.run(1h);
    CHECK(r.notes.take() == Observed{"accepted 3"});
    CHECK(r.state() == LinkState::failed);
    CHECK(r.session->depth() == 2);

    // After the repair, the program requests another attempt, in one of three ways.
    const int way = GENERATE(0, 1, 2);
    if (way == 0) CHECK(r.session->reconnect_now().granted);
    if (way == 1) CHECK(r.session->handle().reconnect_now() == belay::driver::Post::taken);
    if (way == 2) {
        r.session->stop();
        r.session->start();
    }
    r.run();
    CHECK(r.exchange(r.known(1)) ==
          Observed{"hello " + std::to_string(r.attach()) + " base 2 last 3",
                   "start " + std::to_string(r.attach()), "data 2 b", "data 3 c"});
    CHECK(r.blocked() == Blocked::none);
    CHECK(r.state() == LinkState::connected);
}

TEST_CASE("Session blocks again after reconnect_now if the cause is still there",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    r.line().link.closed();
    r.run();
    r.run(1s);
    r.exchange(error(SessionErrc::fenced, 99));
    CHECK(r.session->reconnect_now().granted);
    r.run();
    r.notes.take();
    r.exchange(error(SessionErrc::fenced, 99));
    CHECK(r.notes.take() == Observed{"failed", "blocked fenced"});
}

TEST_CASE("Session blocks at an operation that is too large for this receiver",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    r.send("a");
    REQUIRE(r.session->send(Bytes(101)).has_value());
    r.run();
    CHECK(r.blocked() == Blocked::too_large);
    CHECK(r.state() == LinkState::failed);
}

TEST_CASE("Session waits as long as an overloaded receiver requests", "[session][session][unit]") {
    Rig r;
    r.start();
    r.exchange(error(SessionErrc::overloaded, 5000));
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.retry_at == at(5s));
    CHECK(r.session->status().link.failure.cause == Cause::overloaded);
}

TEST_CASE("Session blocks when its credentials are rejected, and continues with new ones",
          "[session][session][unit]") {
    Rig r{{.token = to_bytes("old")}};
    r.start();
    // A HELLO ends with its token.
    CHECK(as_text(r.line().messages.back()).ends_with("old"));
    SECTION("unauthorized, and the transport gets other ones") {
        r.exchange(error(SessionErrc::unauthorized));
        CHECK(r.state() == LinkState::blocked_auth);
        r.session->credentials();
        r.run();
        CHECK(r.state() == LinkState::connecting);
        CHECK(as_text(r.line().messages.back()).ends_with("old"));
    }
    SECTION("unauthorized, and HELLO gets another token") {
        r.exchange(error(SessionErrc::unauthorized));
        r.session->renew_token(to_bytes("new"));
        r.run();
        CHECK(r.state() == LinkState::connecting);
        CHECK(as_text(r.line().messages.back()).ends_with("new"));
    }
    SECTION("forbidden") {
        r.exchange(error(SessionErrc::forbidden));
        CHECK(r.state() == LinkState::blocked_auth);
    }
    CHECK(r.blocked() == Blocked::none);
}

TEST_CASE("Session sends ERROR after garbage, closes, and reconnects",
          "[session][session][fault]") {
    Rig r;
    r.connect();
    CHECK(r.exchange(Bytes(40, std::byte{'G'})) == Observed{"error protocol 71"});
    CHECK(r.state() == LinkState::cooldown);
    CHECK(r.session->status().link.failure.cause == Cause::protocol);
}

TEST_CASE("Session::commit makes a queue durable that was filled before",
          "[session][session][regression]") {
    Rig r;
    r.session.reset();
    Rig::Queue queue{open_journal(r.disk)};
    REQUIRE_FALSE(queue.push(as_bytes("a")));
    Rig::S session{RawTransport<RawPingedConnection>{r.lines}, patient(), std::move(queue),
                   SessionOptions{.id = id(1)}, std::ref(r.notes)};
    CHECK(session.status().accepted == 0);
    CHECK_FALSE(session.commit());
    CHECK(session.status().accepted == 1);
}

// ---- a journal that fails -----------------------------------------------------------------------

TEST_CASE("Session accepts and sends nothing more after its journal has failed",
          "[session][session][fault]") {
    Rig r;
    r.connect();
    r.send("a");
    r.run();
    r.line().sent_frames();
    r.notes.take();
    r.send("b");
    r.disk.refuse(true);
    SECTION("in a turn") { r.run(); }
    SECTION("in commit") {
        CHECK(r.session->commit() == eio);
        r.run();
    }
    stays_failed(r);
}

TEST_CASE("Session goes on after a failure of its disk that passes", "[session][session][fault]") {
    Rig r;
    r.connect();
    r.send("a");
    // The write succeeds, the sync does not.
    r.disk.fail_at(r.disk.operations() + 2, eio);
    CHECK(r.session->commit() == eio);
    CHECK(r.session->status().accepted == 0);
    r.run();
    CHECK(r.blocked() == Blocked::none);
    CHECK(r.state() == LinkState::connected);
    r.send("b");
    CHECK_FALSE(r.session->commit());
    CHECK(r.session->status().accepted == 2);
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 b"});
}

TEST_CASE("Session::commit reports the operations that a full disk rejected as not durable",
          "[session][session][regression]") {
    Rig r;
    r.connect();
    r.send("a");
    r.disk.fail_at(r.disk.operations() + 1, enospc);
    CHECK(r.session->commit() == enospc);
    CHECK(r.session->status().accepted == 0);
    r.disk.fail_at(r.disk.operations() + 1, enospc);
    CHECK(r.session->commit() == enospc);
    r.run();
    CHECK(r.blocked() == Blocked::none);
    // The connection stays open, and the status has the error.
    CHECK(r.notes.take().empty());
    CHECK(r.state() == LinkState::connected);
    CHECK(r.session->status().flush_error == enospc);
    // The journal has lost nothing, and accepts operations.
    r.send("b");
    CHECK_FALSE(r.session->commit());
    CHECK(r.session->status().accepted == 2);
    CHECK_FALSE(r.session->status().flush_error);
}

TEST_CASE("Session delivers what is durable while its disk is full, and the rest a second later",
          "[session][session][fault]") {
    Rig r;
    const auto fill_disk = [&r] { r.disk.fail_at(r.disk.operations() + 1, enospc); };
    r.connect();
    r.send("a");
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 a"});
    CHECK(r.notes.take() == Observed{"accepted 1"});
    fill_disk();
    r.send("b");
    r.run();
    SECTION("on the same connection") {}
    SECTION("on the next one") {
        r.line().link.closed();
        r.run();
        r.now = 1s;
        fill_disk();
        r.session->advance(at(r.now));
        fill_disk();
        r.session->advance(at(r.now));
        // Neither the flush that pins the store again nor the next one has space.
        const Bytes known = r.known(0);
        fill_disk();
        CHECK(r.exchange(known).back() == "data 1 a");
    }
    SECTION("of the next process") {
        // The destructor of a journal writes as much as it can.
        fill_disk();
        r.begin_process();
        r.start();
        fill_disk();
        r.send("b");
        r.session->advance(at(r.now));
        const Bytes known = r.known(0);
        fill_disk();
        CHECK(r.exchange(known).back() == "data 1 a");
    }
    REQUIRE(r.state() == LinkState::connected);
    r.notes.take();
    // For a minute, the disk is full, and the receiver sends signs of life.
    for (Duration now = 2s; now <= 60s; now += 1s) {
        fill_disk();
        r.run(now);
        r.exchange(ack(1));
        CHECK(r.state() == LinkState::connected);
        CHECK(r.session->status().flush_error == enospc);
    }
    CHECK(r.blocked() == Blocked::none);
    CHECK(r.session->status().acknowledged == 1);
    CHECK(r.session->status().accepted == 1);
    CHECK(r.notes.take() == Observed{"acknowledged 1"});
    // Now the disk has space.
    r.run(61s);
    CHECK(r.notes.take() == Observed{"accepted 2"});
    CHECK(r.line().sent_frames() == Observed{"data 2 b"});
    CHECK_FALSE(r.session->status().flush_error);
}

TEMPLATE_TEST_CASE("Session delivers what is durable on a disk without a free byte",
                   "[session][session][fault]", sim::Disk, WatchedDisk) {
    // A sim::Disk reserves the space of a segment. The files of a WatchedDisk grow.
    constexpr bool reserves = std::is_same_v<TestType, sim::Disk>;
    SessionRig<RawPingedConnection, SessionNotes, TestType> r;
    r.connect();
    const Bytes operation(90);
    std::uint64_t durable = 0;
    for (; durable < 60; ++durable) REQUIRE(r.session->send(operation).has_value());
    r.run();
    REQUIRE(r.session->status().accepted == durable);
    leave_no_space(r.disk);
    std::error_code error;
    std::uint64_t taken = 0;
    while (!error && taken < 100) {
        const auto sent = r.session->send(operation);
        error = sent ? r.session->commit() : sent.error();
        if (sent) ++taken;
    }
    CHECK(error == enospc);
    // With a reservation, send() finds the end of the segment. Without one, commit() finds it.
    CHECK(static_cast<bool>(r.session->status().flush_error) == !reserves);
    const std::uint64_t accepted = r.session->status().accepted;
    CHECK(accepted == durable + (reserves ? taken : 0U));
    const std::size_t files = r.disk.image().size();
    r.line().link.closed();
    r.run();
    r.run(1s);
    r.exchange(r.known(0));
    REQUIRE(r.state() == LinkState::connected);
    r.exchange(ack(accepted));
    CHECK(r.session->status().acknowledged == accepted);
    CHECK(r.blocked() == Blocked::none);
    // Without a reservation, the acknowledgement also waits for space, so no file is deleted.
    CHECK((r.disk.image().size() < files) == reserves);
    if (!reserves) CHECK(r.session->commit() == enospc);
    r.disk.limit_bytes(std::uint64_t{1} << 30U);
    r.run(3s);
    CHECK_FALSE(r.session->commit());
    CHECK(r.session->send(operation).has_value());
    CHECK_FALSE(r.session->commit());
}

TEST_CASE("Session connects over a full disk after its files were displaced",
          "[session][session][regression]") {
    SessionRig<RawPingedConnection, SessionNotes, WatchedDisk> r;
    r.connect();
    r.send("a");
    r.run();
    r.exchange(ack(0));
    const sim::Disk::Image before = r.disk.image();
    for (const auto& [path, bytes] : before) REQUIRE_FALSE(r.disk.rename(path, "away/" + path));
    r.send("b");
    CHECK(r.session->commit() == QueueErrc::displaced);
    r.run();
    for (const auto& [path, bytes] : before) REQUIRE_FALSE(r.disk.rename("away/" + path, path));
    leave_no_space(r.disk);
    r.run(1s);
    CHECK(r.session->status().flush_error == enospc);
    CHECK(r.exchange(r.known(0)).back() == "data 1 a");
    CHECK(r.state() == LinkState::connected);
    r.disk.limit_bytes(std::uint64_t{1} << 30U);
    r.run(3s);
    CHECK(r.session->status().accepted == 2);
}

TEST_CASE("Session continues when the files of its journal are at their path again",
          "[session][session][regression]") {
    const bool copied = GENERATE(false, true);
    Rig r;
    r.connect();
    r.send("a");
    r.run();
    r.exchange(ack(0));
    REQUIRE(r.notes.take() == Observed{"accepted 1"});
    const sim::Disk::Image before = r.disk.image();
    for (const auto& [path, bytes] : before) {
        REQUIRE_FALSE(r.disk.rename(path, "away/" + path));
        if (copied) r.disk.put(path, bytes);
    }
    r.send("b");
    for (int i = 0; i < 3; ++i) {
        CHECK(r.session->commit() == QueueErrc::displaced);
        CHECK(r.session->status().accepted == 1);
    }
    // The session tries again, and sends no HELLO.
    for (const Duration passed : {0s, 1s, 3s, 7s}) {
        r.run(passed);
        CHECK(r.state() != LinkState::connected);
        CHECK(r.state() != LinkState::failed);
        CHECK(r.session->status().accepted == 1);
        for (const std::string& frame : r.line().sent_frames())
            CHECK(frame.substr(0, 5) != "hello");
    }
    CHECK(r.blocked() == Blocked::none);
    CHECK(r.session->commit() == QueueErrc::displaced);
    for (const std::string& note : r.notes.take()) CHECK(note.substr(0, 8) != "accepted");
    for (const auto& [path, bytes] : before) {
        REQUIRE_FALSE(r.disk.rename("away/" + path, path));
    }
    r.run(15s);
    r.exchange(r.known(1));
    CHECK(r.state() == LinkState::connected);
    CHECK(r.session->status().accepted == 2);
    r.exchange(ack(2));
    CHECK(r.session->status().acknowledged == 2);
}

TEST_CASE("Session over a journal in Flush::each accepts nothing after a send that broke it",
          "[session][session][regression]") {
    Rig r;
    flush_each(r);
    r.connect();
    r.send("a");
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 a"});
    CHECK(r.notes.take() == Observed{"accepted 1"});
    r.disk.refuse(true);
    CHECK(r.session->send(as_bytes("b")).error() == eio);
    CHECK(r.session->deadline() == always);
    SECTION("in a turn") { r.run(); }
    SECTION("in commit") {
        CHECK(r.session->commit() == eio);
        r.run();
    }
    SECTION("in commit after another send") {
        CHECK(r.session->send(as_bytes("c")).error() == eio);
        CHECK(r.session->commit() == eio);
        r.run();
    }
    CHECK(r.session->status().taken == 1);
    stays_failed(r);
}

TEST_CASE("Session wakes its driver when a send has broken the journal",
          "[session][session][regression]") {
    Rig r;
    flush_each(r);
    Loop loop;
    loop.attach(*r.session);
    // Without a wake, the loop would not advance the session again.
    loop.run_until([] { return true; }, 0s);
    r.disk.refuse(true);
    CHECK(r.session->send(as_bytes("a")).error() == eio);
    CHECK(loop.run_until([&] { return !r.notes.observed.empty(); }, 10s));
    CHECK(r.notes.take() == Observed{"blocked journal_failed"});
}

TEST_CASE("Session over a journal in Flush::each continues after a full disk rejected an operation",
          "[session][session][fault]") {
    Rig r;
    flush_each(r);
    r.connect();
    r.disk.fail_at(r.disk.operations() + 1, enospc);
    CHECK(r.session->send(as_bytes("a")).error() == enospc);
    CHECK_FALSE(r.session->commit());
    r.run();
    CHECK(r.blocked() == Blocked::none);
    CHECK(r.notes.take().empty());
    r.send("b");
    CHECK(r.session->status().accepted == 1);  // durable and accepted without a flush in a turn
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 b"});
    r.exchange(ack(1));
    CHECK(r.notes.take() == Observed{"accepted 1", "acknowledged 1"});
}

TEST_CASE("Session blocks when it cannot read an operation from its journal",
          "[session][session][fault]") {
    Rig r;
    r.send("a");
    r.run();
    for (const auto& [name, bytes] : r.disk.image()) {
        if (bytes.size() < 4096) continue;
        Bytes damaged = bytes;
        const std::string_view text = as_text(damaged);
        // Flips the bits of the operation's body, in the file that the journal has open.
        const std::size_t at = text.rfind('a');
        REQUIRE(at != std::string_view::npos);
        auto file = r.disk.open(name, OpenMode::write);
        REQUIRE(file.has_value());
        REQUIRE_FALSE(file->write(at, as_bytes("b")));
    }
    r.start();
    r.exchange(r.fresh());
    r.exchange(ack(0));
    CHECK(r.blocked() == Blocked::journal_failed);
    CHECK(r.state() == LinkState::failed);
    for (const std::string& s : r.line().sent_frames()) CHECK(s.substr(0, 4) != "data");
}

// ---- hooks --------------------------------------------------------------------------------------

namespace {

/// Destroys the session in the hook of this name.
struct SessionDestroyer {
    std::string when;
    std::function<void()> destroy;
    bool gone = false;
    int later = 0;

    void hook(std::string_view name) {
        if (gone) ++later;
        if (gone || name != when) return;
        gone = true;
        destroy();
    }
    void on_state(auto&, const Transition& t) { hook(to_string(t.to.state)); }
    void on_accepted(auto&, std::uint64_t) { hook("accepted"); }
    void on_acknowledged(auto&, std::uint64_t) { hook("acknowledged"); }
    void on_blocked(auto&, Blocked, const BlockedDetails& details) {
        hook("blocked");
        acked = details.acked;  // the details are still valid
    }
    void on_journal_replaced(auto&, const BlockedDetails& details) {
        hook("replaced");
        acked = details.acked;
    }
    void on_stalled(auto&) { hook("stalled"); }
    std::uint64_t acked = 99;
    Observed take() { return {}; }
};

/// Calls all functions that a hook may call.
struct ReentrantObserver {
    int accepted = 0;
    bool stopped = false;
    void on_accepted(auto& session, std::uint64_t up_to) {
        ++accepted;
        if (up_to < 3) {
            CHECK(session.send(as_bytes("more")).has_value());
            CHECK_FALSE(session.commit());
        }
    }
    void on_acknowledged(auto& session, std::uint64_t) {
        session.stop();
        stopped = session.status().link.state == LinkState::stopped;
        session.start();
    }
    Observed take() { return {}; }
};

}  // namespace

TEST_CASE("Session may be destroyed in every hook", "[session][session][unit]") {
    using DestroyedRig = SessionRig<RawPingedConnection, SessionDestroyer>;
    DestroyedRig r;
    r.notes.when =
        GENERATE(as<std::string>{}, "connecting", "connected", "accepted", "acknowledged",
                 "replaced", "stalled", "cooldown", "blocked", "stopped");
    r.notes.destroy = [&r] { r.session.reset(); };
    const auto step = [&r](auto&& f) {
        if (r.session) f();
        if (r.session) r.run();
    };
    step([&] { r.session->start(); });
    step([&] {
        r.line().say(bytes_of(Welcome{.attach = r.attach(),
                                      .payload_bytes_max = 100,
                                      .replaces = true,
                                      .store = DestroyedRig::store,
                                      .replaced_journal = id(77)}));
    });
    step([&] { r.line().say(ack(0)); });
    step([&] { r.send("a"); });
    step([&] { r.send("b"); });
    step([&] { r.run(61s); });
    step([&] { r.line().say(ack(1)); });
    step([&] { r.line().link.closed(); });
    step([&] { r.run(70s); });
    step([&] { r.line().say(error(SessionErrc::fenced, 9)); });
    step([&] { r.session->stop(); });
    CHECK(r.session == nullptr);
    CHECK(r.notes.gone);
    CHECK(r.notes.later == 0);
    for (const auto& line : r.lines) CHECK_FALSE(line->live);
}

TEST_CASE("Session's hooks may send, flush, stop and start", "[session][session][unit]") {
    SessionRig<RawPingedConnection, ReentrantObserver> r;
    r.connect();
    r.send("a");
    r.run();
    CHECK(r.notes.accepted == 3);
    CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 more", "data 3 more"});
    r.exchange(ack(1));
    CHECK(r.notes.stopped);
    CHECK(r.lines.size() == 2);
    CHECK(r.line().messages.empty());
    CHECK(r.state() == LinkState::connecting);
}

TEST_CASE("Session calls no hook in its destructor, and loses nothing",
          "[session][session][unit]") {
    Rig r;
    r.connect();
    r.send("a");
    r.run();
    r.notes.take();
    r.session.reset();
    CHECK(r.notes.take().empty());
    CHECK_FALSE(r.line().live);
    CHECK(r.line().link.closed() == belay::driver::Post::gone);
    const DiskJournal journal = open_journal(r.disk);
    CHECK(journal.last() == 1);
    CHECK(journal.base() == 1);
}

namespace {

/// Stops the session in on_accepted, and notes where that hook ends.
struct Stopper {
    Observed observed;
    bool done = false;
    void on_state(const Transition& t) { observed.emplace_back(to_string(t.to.state)); }
    void on_accepted(auto& session, std::uint64_t) {
        if (std::exchange(done, true)) return;
        session.stop();
        CHECK(session.status().link.state == LinkState::stopped);
        observed.emplace_back("end of on_accepted");
    }
    Observed take() { return std::exchange(observed, {}); }
};

}  // namespace

TEST_CASE("Session::stop in a hook is reported when that hook has returned",
          "[session][session][regression]") {
    SessionRig<RawPingedConnection, Stopper> r;
    r.connect();
    r.send("a");
    r.run();
    CHECK(r.notes.observed == Observed{"end of on_accepted", "stopped"});
}

TEST_CASE("Session delivers the operations before one that is too large",
          "[session][session][regression]") {
    Rig r;
    r.connect();
    r.send("a");
    REQUIRE(r.session->send(Bytes(101)).has_value());
    r.run();
    CHECK(r.line().sent_frames() == Observed{"data 1 a"});
    CHECK(r.blocked() == Blocked::too_large);
}

TEST_CASE("Session aborts on options with which it could send nothing",
          "[session][session][unit]") {
    const auto rejects = [](SessionOptions options, const std::string& sentence) {
        options.id = id(1);
        CHECK(options.check() == "SessionOptions: " + sentence);
        const std::string output =
            aborts_with([&] { static_cast<void>(detail::checked(SessionOptions{options})); });
        return output.find("SessionOptions: " + sentence) != std::string::npos;
    };
    const std::string durations = "greeting_max and stalled_after must be > 0ns";
    CHECK(rejects({.greeting_max = 0s}, durations));
    CHECK(rejects({.stalled_after = -1s}, durations));
    const std::string payload = "payload_bytes_max must be from 16 to 16777216";
    CHECK(rejects({.payload_bytes_max = 15}, payload));
    CHECK(rejects({.payload_bytes_max = payload_bytes_ceiling + 1}, payload));
    CHECK(rejects({.batch_bytes = 0}, "batch_bytes must be > 0, or no operation is sent"));
    CHECK(SessionOptions{}.check() == "SessionOptions: id must be set");
    const SessionOptions beats{.id = id(1), .heartbeat = {.every = 2s, .dead_after = 1s}};
    CHECK(beats.check() == beats.heartbeat.check());
}

TEST_CASE("Session delivers with the least and the greatest of each option",
          "[session][session][unit]") {
    const SessionOptions least{.payload_bytes_max = 16, .batch_bytes = 1};
    const SessionOptions greatest{.payload_bytes_max = payload_bytes_ceiling,
                                  .greeting_max = forever,
                                  .stalled_after = forever,
                                  .batch_bytes = no_limit,
                                  .heartbeat = {.every = forever - 1ns, .dead_after = forever}};
    for (const SessionOptions& options : {least, greatest}) {
        Rig r{options};
        r.run(1s);
        r.connect();
        r.send("a");
        r.send("b");
        r.run();
        CHECK(r.line().sent_frames() == Observed{"data 1 a", "data 2 b"});
        r.exchange(ack(2));
        CHECK(r.notes.take() == Observed{"accepted 2", "acknowledged 2"});
        r.session->stop();
        r.run(1h);
        CHECK(r.state() == LinkState::stopped);
    }
}
