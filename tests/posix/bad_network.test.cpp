// SPDX-License-Identifier: MIT
// Goal: for any fault of a network, messages are whole, in order and never repeated, the end is
// detected, and the next connection works. Method: a supervised Tcp and an echo over real sockets,
// with a proxy between them that follows a script.
#include <belay/posix/tcp.hpp>

#include <belay/backoff/jitters.hpp>
#include <belay/posix/journal.hpp>
#include <belay/posix/listener.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>

#include "support/posix/echo_server.hpp"
#include "support/posix/proxy.hpp"
#include "support/posix/tcp_rig.hpp"
#include "support/seeds.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using namespace belay_test;
using Then = ConnectionFault::Then;

namespace {

/// An echo behind a proxy, and a client with manual time.
struct BehindProxy {
    posix::Loop<> server_loop{};
    EchoServer<LengthPrefixed> server{server_loop};
    Proxy proxy{server.port()};
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    TcpApp app{};
    TcpSupervisor<Heartbeat<posix::Tcp<>>> link{
        Heartbeat{posix::Tcp<>{loop, {"127.0.0.1", proxy.port()}},
                  {.every = 10s, .dead_after = 25s}},
        tcp_policy(),
        {},
        std::ref(app)};

    BehindProxy() {
        loop.attach(link);
        link.start();
    }
    void round() {
        // Neither side delays small packets: bytes must be read as they arrive.
        static_cast<void>(server_loop.run_until([] { return true; }));
        static_cast<void>(loop.run_until([] { return true; }));
    }
    /// Runs without time for the client. If the condition never holds, the test's own limit ends
    /// it.
    template <class F>
    void until(F holds) {
        while (!holds()) round();
    }
    void until_state(LinkState state) {
        until([&] { return app.state() == state; });
    }
    void connect() {
        const std::size_t before = proxy.connections();
        if (app.state() == LinkState::cooldown) clock.advance(2s);
        // The kernel connects it, and the proxy accepts it a moment later.
        until([&] { return app.state() == LinkState::connected && proxy.connections() > before; });
    }
    void send(const std::string& text) { REQUIRE(link.send(to_bytes(text)) == SendResult::sent); }
    /// Checks that the next connection works, without any fault.
    void is_as_good_as_new() {
        proxy.script({});
        connect();
        app.messages.clear();
        send("whole");
        until([&] { return !app.messages.empty(); });
        CHECK(app.messages == std::vector<std::string>{"whole"});
    }
};

const std::vector<std::string> three{"one", "", "twenty-two"};
// The answer to the ping at the opening is first.
constexpr std::size_t pong_bytes = 5;
constexpr std::size_t three_bytes = pong_bytes + 3 * 5 + 3 + 0 + 10;

std::vector<std::string> whole_in(std::size_t bytes) {
    std::vector<std::string> whole;
    if (bytes < pong_bytes) return whole;
    bytes -= pong_bytes;
    for (const std::string& m : three) {
        if (bytes < 5 + m.size()) break;
        bytes -= 5 + m.size();
        whole.push_back(m);
    }
    return whole;
}
bool is_prefix(const std::vector<std::string>& some) {
    return some.size() <= three.size() && std::equal(some.begin(), some.end(), three.begin());
}

/// Sends `three` on a connection with this script.   Returns: the messages that came back before
/// its end.
std::vector<std::string> ended_by(BehindProxy& net, const Script& script) {
    net.proxy.script(script);
    net.clock.advance(2s);
    const std::size_t before = net.app.states.size();
    const auto ended = [&] {
        return net.app.states.size() > before && net.app.state() == LinkState::cooldown;
    };
    net.until([&] { return net.app.state() == LinkState::connected || ended(); });
    net.app.messages.clear();
    for (const std::string& m : three) static_cast<void>(net.link.send(to_bytes(m)));
    net.until(ended);
    return net.app.messages;
}

ConnectionFault some_fault(Random& chance) {
    const auto pick = [&](std::uint64_t n) { return uniform_upto(chance, n - 1); };
    constexpr Then ends[]{Then::pass, Then::end, Then::cut, Then::reset};
    return {static_cast<std::size_t>(pick(600)), ends[pick(4)], pick(4) == 0};
}

void delivers_everything_once(Seed seed) {
    Random chance{seed};
    const TemporaryDirectory directory;
    posix::Loop<> loop;
    MemoryLedger ledger;
    Receiver<posix::Accepted<>, LedgerView> receiver{LedgerView{ledger}};
    loop.attach(receiver);
    posix::Listener listener{
        loop, [&](posix::Accepted<> accepted) { receiver.accept(std::move(accepted)); }};
    REQUIRE_FALSE(listener.listen({"127.0.0.1", 0}));
    Proxy proxy{listener.port()};
    Session session{posix::Tcp<>{loop, {"127.0.0.1", proxy.port()}},
                    Policy{Backoff{FullJitter{}, Cap{4ms}, 1ms}},
                    Queue{posix::Journal::open(directory / "journal").value()},
                    SessionOptions{.id = Id{std::byte{1}}}};
    loop.attach(session);
    session.start();
    std::vector<std::string> sent;
    for (int i = 0; i < 60; ++i) {
        if (i % 4 == 0) proxy.script({some_fault(chance), some_fault(chance)});
        if (i % 12 == 11) proxy.now(i % 24 == 11 ? Then::cut : Then::reset);
        sent.push_back(std::to_string(i) + std::string(uniform_upto(chance, 40), 'x'));
        REQUIRE(session.send(as_bytes(sent.back())));
        run_once(loop);
    }
    proxy.script({});
    proxy.now(Then::reset);
    while (session.status().acknowledged < sent.size()) run_once(loop);
    CHECK(ledger.effects == sent);
}

}  // namespace

TEST_CASE("Tcp delivers the complete messages of an answer that is cut anywhere",
          "[posix][bad_network][fault]") {
    BehindProxy net;
    net.connect();
    net.proxy.now(Then::cut);
    net.until_state(LinkState::cooldown);
    for (std::size_t bytes = 0; bytes < three_bytes; ++bytes) {
        INFO("after " << bytes << " bytes");
        for (const Then then : {Then::cut, Then::end}) {
            CHECK(ended_by(net, {.to_client = {bytes, then, then == Then::end}}) ==
                  whole_in(bytes));
            CHECK(net.app.failure == failure_of(LinkErrc::closed_by_peer));
        }
        // A reset drops the bytes that have not been read.
        CHECK(is_prefix(ended_by(net, {.to_client = {bytes, Then::reset}})));
        CHECK(net.app.failure.cause == Cause::lost);
    }
    net.is_as_good_as_new();
}

TEST_CASE("Tcp loses only the last messages when the connection is cut after any number of bytes",
          "[posix][bad_network][fault]") {
    BehindProxy net;
    net.connect();
    net.proxy.now(Then::reset);
    net.until_state(LinkState::cooldown);
    for (std::size_t bytes = 0; bytes < three_bytes; ++bytes) {
        INFO("after " << bytes << " bytes");
        for (const Then then : {Then::cut, Then::end, Then::reset}) {
            const auto echoed = ended_by(net, {.to_server = {bytes, then}});
            CHECK(is_prefix(echoed));
            CHECK(echoed.size() <= whole_in(bytes).size());
            CHECK(net.app.failure.cause == Cause::lost);
        }
    }
    net.is_as_good_as_new();
}

TEST_CASE("Tcp in a Heartbeat detects in time a network that drops everything",
          "[posix][bad_network][fault]") {
    const bool both = GENERATE(true, false);
    BehindProxy net;
    if (!both) net.proxy.script({.to_client = {0, Then::swallow}});
    net.connect();
    if (both) net.proxy.now(Then::swallow);
    const std::size_t vanished = net.proxy.swallowed();
    for (int second = 0; second < 25; ++second) {
        CHECK(net.app.state() == LinkState::connected);
        net.clock.advance(1s);
        net.round();
    }
    net.until_state(LinkState::cooldown);
    CHECK(net.app.failure == failure_of(LinkErrc::heartbeat_lost));
    // The ping was sent, and was not received.
    net.until([&] { return net.proxy.swallowed() > vanished; });
    net.is_as_good_as_new();
}

TEST_CASE("Tcp in a Heartbeat stays open over a network that is slow, byte by byte or by a pause",
          "[posix][bad_network][fault]") {
    BehindProxy net;
    net.proxy.script({{.trickle = true}, {.trickle = true}});
    net.connect();
    std::vector<std::string> sent;
    for (std::uint64_t i = 0; i < 20; ++i) {
        sent.push_back(nth_text(i));
        net.send(sent.back());
    }
    net.until([&] { return net.app.messages.size() == sent.size(); });
    CHECK(net.app.messages == sent);

    net.app.messages.clear();
    net.proxy.now(Then::hold);
    net.send("late");
    for (int second = 0; second < 24; ++second) net.clock.advance(1s), net.round();
    CHECK(net.app.messages.empty());
    net.proxy.now(Then::pass);
    net.until([&] { return !net.app.messages.empty(); });
    for (int second = 0; second < 24; ++second) net.clock.advance(1s), net.round();
    CHECK(net.app.messages == std::vector<std::string>{"late"});
    CHECK(net.app.state() == LinkState::connected);
}

TEST_CASE("Tcp delivers no bytes that a network held until the connection was closed",
          "[posix][bad_network][fault]") {
    BehindProxy net;
    net.connect();
    net.proxy.now(Then::hold);
    net.send("old");
    net.clock.advance(26s);
    net.until([&] {
        net.clock.advance(1s);
        return net.app.state() == LinkState::cooldown;
    });
    net.connect();
    REQUIRE(net.proxy.connections() == 2);
    net.proxy.now(Then::pass);  // it arrives at the server later
    net.until([&] { return net.proxy.passed_to_server() > 0; });
    net.send("new");
    net.until([&] { return !net.app.messages.empty(); });
    CHECK(net.app.messages == std::vector<std::string>{"new"});
}

TEST_CASE("A Session delivers each operation once over a network with all of these faults",
          "[posix][bad_network][property]") {
    for_each_seed(delivers_everything_once, 8);
}
