// SPDX-License-Identifier: MIT
// Goal: connections of a receiver cost little, and a connection that does not read is closed.
// Method: the test plays the senders.
#include <belay/session/receiver.hpp>

#include "support/session/receiver_rig.hpp"

using namespace belay;
using namespace belay::session_format;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

int times_asked = 0;
/// Counts the calls of deadline().
class AskedConnection : public RawConnection {
public:
    using RawConnection::RawConnection;
    [[nodiscard]] Instant deadline() const noexcept {
        ++times_asked;
        return never;
    }
    void advance(Turn&) {}
};
using AskedRig = ReceiverRig<AllowAll, RawTransport<AskedConnection>>;

}  // namespace

TEST_CASE("Receiver does no work for an idle connection", "[session][receiver][unit]") {
    AskedRig r{{.connections_max = 1000}};
    auto busy = r.attached(hello_of(1, 1));
    for (int i = 0; i < 500; ++i) r.connect();
    const auto cost = [&](std::uint64_t n) {
        times_asked = 0;
        CHECK(r.exchange(busy, data(n, "x")) == Observed{"ack " + std::to_string(n)});
        return times_asked;
    };
    const int with_many = cost(1);
    CHECK(with_many <= 10);
    r.run(5s);  // no HELLO
    CHECK(r.receiver.connections() == 1);
    CHECK(cost(2) == with_many);
}

TEST_CASE("Receiver answers the PINGs of a turn with one PONG, also for a pending peer",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.connect();
    r.exchange(a, bytes_of(hello_of(1, 1)));
    Bytes flood;
    for (std::uint64_t n = 1; n <= 100; ++n) flood = flood + ping(n);
    CHECK(r.exchange(a, flood) == Observed{"pong 100"});
    a->say(ping(101));
    CHECK(r.exchange(a, flood + start(1)) == Observed{"pong 100", "ack 0"});
    CHECK(r.exchange(a, flood) == Observed{"pong 100"});
    CHECK(r.exchange(a, data(1, "x")) == Observed{"ack 1"});
}

TEST_CASE("Receiver closes a connection that accepts nothing, also if it sends",
          "[session][receiver][regression]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    a->answer = SendResult::busy;
    for (Duration t = 1s; t <= 25s; t += 1s) {
        a->say(ping(7));
        r.run(t);
        CHECK(a->live);
    }
    a->say(ping(7));
    r.run(26s);
    CHECK_FALSE(a->live);
    CHECK_FALSE(a->closed_gracefully);
    CHECK(r.receiver.connections() == 0);
}

TEST_CASE("Receiver keeps a connection that reads in time", "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    for (Duration t = 1s; t <= 100s; t += 1s) {
        a->answer = t % 20s == 0s ? SendResult::sent : SendResult::busy;
        if (t % 20s == 0s) a->link.writable();
        a->say(ping(7));
        r.run(t);
    }
    CHECK(a->live);
    CHECK(a->sent_frames() == Observed(5, "pong 7"));
}

TEST_CASE("Receiver sends a delayed ACK when the transport is writable, and not before",
          "[session][receiver][unit]") {
    ReceiverRig<> r;
    auto a = r.attached(hello_of(1, 1));
    Hello second = hello_of(2, 1);
    second.sender = id(2);
    auto b = r.attached(second);
    a->answer = SendResult::busy;
    CHECK(r.exchange(a, data(1, "x")).empty());
    a->answer = SendResult::sent;
    CHECK(r.exchange(b, data(1, "y")) == Observed{"ack 1"});
    CHECK(a->sent_frames().empty());
    a->link.writable();
    r.run();
    CHECK(a->sent_frames() == Observed{"ack 1"});
}
