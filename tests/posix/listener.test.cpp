// SPDX-License-Identifier: MIT
// Goal: a listener accepts connections, continues after failures, and both ends of TCP work
// together. Method: real sockets.
#include <belay/posix/listener.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

#include <sys/resource.h>

#include <belay/policy/rules.hpp>
#include <belay/posix/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>

#include "support/aborts.hpp"
#include "support/posix/tcp_rig.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using namespace belay_test;
using posix::Accepted;
using posix::Endpoint;
using posix::Listener;
using posix::Tcp;

namespace {

constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};

struct Echo {
    void on_message(auto& link, Bytes message) { static_cast<void>(link.send(message)); }
};

const Endpoint any_port{"127.0.0.1", 0};

/// A server that sends each message back.
template <class Loop>
struct EchoingListener {
    using Link = Supervisor<Heartbeat<Accepted<>>, TcpPolicy, Echo>;

    explicit EchoingListener(Loop& l, const Endpoint& endpoint = any_port) : loop{l} {
        listening = !listener.listen(endpoint);
    }

    void accept(Accepted<> accepted) {
        links.push_back(std::make_unique<Link>(Heartbeat{std::move(accepted), beats}, tcp_policy(),
                                               SupervisorOptions{}, Echo{}));
        loop.attach(*links.back());
        links.back()->start();
    }
    [[nodiscard]] std::uint16_t port() const { return listener.port(); }

    struct Accept {
        EchoingListener* server;
        void operator()(Accepted<> accepted) const { server->accept(std::move(accepted)); }
    };

    Loop& loop;
    std::vector<std::unique_ptr<Link>> links;
    Listener<Accept> listener{loop, Accept{this}};
    bool listening = false;
};

/// The same with a manual clock.
struct EchoRig {
    EchoRig() { REQUIRE(server.listening); }

    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    EchoingListener<ClockedLoop> server{loop};
};

/// A supervised transport, and its events.
template <class Transport>
struct Client {
    Client(auto& loop, Transport transport)
        : link{std::move(transport), tcp_policy(), {}, std::ref(app)} {
        loop.attach(link);
    }
    [[nodiscard]] auto is(LinkState state) const {
        return [this, state] { return app.state() == state; };
    }

    TcpApp app;
    TcpSupervisor<Transport> link;
};

/// A listener on a manual clock that stores accepted connections.
struct Rig {
    explicit Rig(posix::ListenerOptions options = {}) : listener{loop, Keep{this}, options} {
        REQUIRE_FALSE(listener.listen(any_port));
    }
    template <class F>
    void until(F&& holds) {
        REQUIRE(loop.run_until(std::forward<F>(holds)));
    }
    void round() {
        until([] { return true; });
    }

    struct Keep {
        Rig* rig;
        void operator()(Accepted<> a) const {
            rig->accepted.push_back(std::move(a));
            if (rig->action) rig->action();
        }
    };

    ManualClock clock;
    ClockedLoop loop{clock.view()};
    std::vector<Accepted<>> accepted;
    std::function<void()> action;
    Listener<Keep> listener;
};

}  // namespace

TEST_CASE("Listener and Tcp carry messages both ways, with heartbeats on both ends",
          "[posix][posix_listener][unit]") {
    EchoRig rig;
    auto& loop = rig.loop;
    auto& server = rig.server;
    Client client{loop, Heartbeat{Tcp{loop, {"127.0.0.1", server.port()}}, beats}};
    auto& app = client.app;
    auto& link = client.link;
    link.start();
    REQUIRE(loop.run_until(client.is(LinkState::connected)));
    for (const char* text : {"one", "", "three"}) {
        CHECK(link.send(to_bytes(text)) == SendResult::sent);
    }
    REQUIRE(loop.run_until([&] { return app.messages.size() == 3; }));
    CHECK(app.messages == std::vector<std::string>{"one", "", "three"});
    // Idle for two hours: only pings and pongs keep it alive.
    for (int i = 0; i < 720; ++i) {
        rig.clock.advance(10s);
        for (int r = 0; r < 4; ++r) loop.run_until([] { return true; });
    }
    CHECK(app.state() == LinkState::connected);
    CHECK(server.links.size() == 1);
    CHECK(server.links.front()->status().state == LinkState::connected);
}

TEST_CASE("Listener::listen reports the system's errors", "[posix][posix_listener][fault]") {
    Rig rig;
    CHECK(rig.listener.port() != 0);
    Listener other{rig.loop, [](Accepted<>) {}};
    CHECK(other.port() == 0);
    CHECK(other.listen({"127.0.0.1", rig.listener.port()}) == std::errc::address_in_use);
    CHECK(other.port() == 0);
    CHECK(other.listen({"192.0.2.1", 0}) == std::errc::address_not_available);
    CHECK(cause_of(other.listen({"no such host", 1})) == Cause::refused);
    CHECK_FALSE(other.listen(any_port));
    const std::uint16_t first = other.port();
    CHECK_FALSE(other.listen(any_port));
    CHECK(other.port() != first);
    other.close();
    other.close();
    CHECK(other.port() == 0);
    CHECK_FALSE(other.listen({"127.0.0.1", first}));
    CHECK(other.port() == first);
}

TEST_CASE("Listener listens on IPv6, too, if it exists", "[posix][posix_listener][unit]") {
    posix::Loop loop;
    EchoingListener server{loop, {"::1", 0}};
    if (!server.listening) {
        WARN("no IPv6 here");
        return;
    }
    Client client{loop, Tcp{loop, {"::1", server.port()}}};
    client.link.start();
    CHECK(loop.run_until(client.is(LinkState::connected)));
}

TEST_CASE("Accepted<> that is never opened closes its connection",
          "[posix][posix_listener][unit]") {
    Rig rig;
    const RawSocket client = RawSocket::connect(rig.listener.port());
    rig.until([&] { return rig.accepted.size() == 1; });
    CHECK_FALSE(client.ended());
    rig.accepted.clear();
    CHECK(client.ended());
}

TEST_CASE("Accepted<> can be opened once, and a second attempt fails for good",
          "[posix][posix_listener][unit]") {
    Rig rig;
    RawSocket peer = RawSocket::connect(rig.listener.port());
    rig.until([&] { return rig.accepted.size() == 1; });
    Client served{rig.loop, std::move(rig.accepted.front())};
    served.link.start();
    rig.until(served.is(LinkState::connected));
    peer.close();
    rig.until(served.is(LinkState::cooldown));
    CHECK(served.app.failure == failure_of(LinkErrc::closed_by_peer));
    rig.clock.advance(100ms);
    rig.until(served.is(LinkState::failed));
    CHECK(served.app.failure.cause == Cause::permanent);
}

TEST_CASE("Listener accepts a bounded number in one turn", "[posix][posix_listener][unit]") {
    Rig rig{{.accepts_per_turn_max = 2}};
    std::vector<RawSocket> clients;
    for (int i = 0; i < 5; ++i) clients.push_back(RawSocket::connect(rig.listener.port()));
    rig.round();
    CHECK(rig.accepted.size() == 2);
    rig.round();
    CHECK(rig.accepted.size() == 4);
    rig.until([&] { return rig.accepted.size() == 5; });
}

TEST_CASE("Listener pauses when the process has no descriptors left, and does not repeat turns",
          "[posix][posix_listener][fault]") {
    Rig rig;
    const RawSocket client = RawSocket::connect(rig.listener.port());
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    rlimit none = old;
    none.rlim_cur = static_cast<rlim_t>(client.fd());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    rig.round();
    const Instant due = rig.listener.deadline();
    rig.round();
    const bool still = rig.listener.deadline() == due;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(rig.accepted.empty());
    CHECK(due == rig.clock.now() + 100ms);
    CHECK(still);
    rig.round();
    CHECK(rig.accepted.empty());
    rig.clock.advance(100ms);
    rig.until([&] { return rig.accepted.size() == 1; });
    // It then continues as before.
    const RawSocket next = RawSocket::connect(rig.listener.port());
    rig.until([&] { return rig.accepted.size() == 2; });
    rig.round();
    CHECK(rig.listener.deadline() == never);
}

TEST_CASE("Listener allows any action in on_accept", "[posix][posix_listener][fault]") {
    SECTION("throws") {
        Rig rig;
        const RawSocket one = RawSocket::connect(rig.listener.port());
        const RawSocket two = RawSocket::connect(rig.listener.port());
        rig.action = [&] {
            rig.action = {};
            rig.accepted.pop_back();
            throw std::runtime_error{"user"};
        };
        CHECK_THROWS_WITH(rig.loop.run(), "user");
        rig.until([&] { return rig.accepted.size() == 1; });
        CHECK(one.ended());
        CHECK_FALSE(two.ended());
    }
    SECTION("closes the listener") {
        Rig rig;
        const RawSocket one = RawSocket::connect(rig.listener.port());
        const RawSocket two = RawSocket::connect(rig.listener.port());
        rig.action = [&] { rig.listener.close(); };
        rig.round();
        rig.round();
        CHECK(rig.accepted.size() == 1);
    }
    SECTION("listens elsewhere") {
        Rig rig;
        const RawSocket one = RawSocket::connect(rig.listener.port());
        rig.action = [&] {
            rig.action = {};
            CHECK_FALSE(rig.listener.listen(any_port));
        };
        rig.round();
        const RawSocket two = RawSocket::connect(rig.listener.port());
        rig.until([&] { return rig.accepted.size() == 2; });
    }
    SECTION("destroys the listener") {
        posix::Loop loop;
        struct Killer {
            void operator()(const Accepted<>&) const { target->reset(); }
            std::unique_ptr<Listener<Killer>>* target;
        };
        std::unique_ptr<Listener<Killer>> listener;
        listener = std::make_unique<Listener<Killer>>(loop, Killer{&listener});
        REQUIRE_FALSE(listener->listen(any_port));
        const RawSocket one = RawSocket::connect(listener->port());
        CHECK(loop.run_until([&] { return listener == nullptr; }));
        CHECK(loop.watched() == 0);
        CHECK(loop.run_until([] { return true; }));
    }
}

TEST_CASE("Listener and loop may be destroyed in any order", "[posix][posix_listener][fault]") {
    auto loop = std::make_unique<posix::Loop<>>();
    const auto ignore = [](const Accepted<>&) {};
    auto first = std::make_unique<Listener<decltype(ignore)>>(*loop, ignore);
    auto last = std::make_unique<Listener<decltype(ignore)>>(*loop, ignore);
    REQUIRE_FALSE(first->listen(any_port));
    REQUIRE_FALSE(last->listen(any_port));
    const RawSocket waits = RawSocket::connect(last->port());
    first.reset();
    loop.reset();
    CHECK(last->port() != 0);
}

TEST_CASE("Listener closes a connection that sends garbage, without effect on others",
          "[posix][posix_listener][fault]") {
    EchoRig rig;
    auto& loop = rig.loop;
    auto& server = rig.server;
    const RawSocket good = RawSocket::connect(server.port());
    CHECK(rc::check("any bytes", [&](const std::string& garbage) {
        RawSocket bad = RawSocket::connect(server.port());
        bad.send(garbage);
        bad.shut_down_writing();
        RC_ASSERT(loop.run_until([&] {
            return !server.links.empty() &&
                   server.links.back()->status().state == LinkState::cooldown;
        }));
        server.links.erase(server.links.begin() + (server.links.size() > 1 ? 1 : 0),
                           server.links.end());
    }));
    good.send(frame("still here"));
    std::string answer;
    CHECK(loop.run_until([&] {
        loop.post([] {});
        return (answer += good.read_some()).size() >= 20;
    }));
    CHECK(answer == ping_frame + frame("still here"));
}

TEST_CASE("A session reports why an operation does not fit its transport",
          "[posix][posix_listener][fault]") {
    const TemporaryDirectory dir;
    posix::Loop loop;
    belay_test::MemoryLedger ledger;
    Receiver<Accepted<>, belay_test::LedgerView> receiver{belay_test::LedgerView{ledger}};
    loop.attach(receiver);
    Listener listener{loop, [&](Accepted<> a) { receiver.accept(std::move(a)); }};
    REQUIRE_FALSE(listener.listen(any_port));
    Session session{Tcp{loop, {"127.0.0.1", listener.port()}, LengthPrefixed{.bytes_max = 1000}},
                    StopOn{Cause::permanent}, Queue{posix::Journal::open(dir / "journal").value()},
                    SessionOptions{.id = {std::byte{1}}}};
    loop.attach(session);
    session.start();
    REQUIRE(session.send(Bytes(900)));
    REQUIRE(session.send(Bytes(2000)));
    REQUIRE(loop.run_until([&] { return session.status().link.state == LinkState::failed; }));
    CHECK(session.status().link.failure.error() == LinkErrc::message_rejected);
}

TEST_CASE("An unknown peer of a Receiver is closed when it announces a length above the limit",
          "[posix][posix_listener][fault]") {
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    belay_test::MemoryLedger ledger;
    Receiver<Accepted<>, belay_test::LedgerView> receiver{belay_test::LedgerView{ledger}};
    loop.attach(receiver);
    Listener listener{loop, [&](Accepted<> a) { receiver.accept(std::move(a)); }};
    REQUIRE_FALSE(listener.listen(any_port));
    const auto announce = [&](std::size_t bytes) {
        RawSocket unknown_peer = RawSocket::connect(listener.port());
        unknown_peer.send(frame(std::string(bytes, 'x')).substr(0, 5));
        return unknown_peer;
    };
    const std::size_t most =
        session_format::frame_header_bytes + session_format::greeting_bytes_max;
    const RawSocket greeting = announce(most);
    REQUIRE(loop.run_until([&] { return receiver.connections() == 1; }));
    const RawSocket flood = announce(most + 1);
    REQUIRE(loop.run_until([&] { return receiver.connections() == 2; }));
    REQUIRE(loop.run_until([&] { return receiver.connections() == 1; }));
    CHECK(flood.read(1).empty());
    CHECK(greeting.read_some().empty());
}

TEST_CASE("Supervisor over Tcp reconnects to a server that was closed and reopened",
          "[posix][posix_listener][unit]") {
    EchoRig rig;
    auto& loop = rig.loop;
    const Endpoint endpoint{"127.0.0.1", rig.server.port()};
    Client client{loop, Tcp{loop, endpoint}};
    auto& app = client.app;
    auto& link = client.link;
    link.start();
    for (int outage = 0; outage < 10; ++outage) {
        REQUIRE(loop.run_until(client.is(LinkState::connected)));
        CHECK(link.send(to_bytes(std::to_string(outage))) == SendResult::sent);
        REQUIRE(loop.run_until(
            [&] { return app.messages.size() == static_cast<std::size_t>(outage) + 1; }));
        rig.server.listener.close();
        rig.server.links.clear();
        REQUIRE(loop.run_until(client.is(LinkState::cooldown)));
        rig.clock.advance(1s);
        const auto attempts = app.states.size();
        REQUIRE(loop.run_until(
            [&] { return app.states.size() > attempts && app.state() == LinkState::cooldown; }));
        CHECK(app.failure.cause == Cause::refused);
        REQUIRE_FALSE(rig.server.listener.listen(endpoint));
        rig.clock.advance(1s);
    }
}

TEST_CASE("Handles of other threads send over Tcp", "[posix][posix_listener][fault]") {
    constexpr int threads = 4;
    constexpr int each = 500;
    posix::Loop loop;
    EchoingListener server{loop};
    REQUIRE(server.listening);
    Client client{loop, Tcp{loop, {"127.0.0.1", server.port()}}};
    auto& app = client.app;
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) {
        pool.emplace_back([t, handle = client.link.handle()] {
            handle.start();
            while (handle.status().state != LinkState::connected) std::this_thread::yield();
            for (int i = 0; i < each; ++i) {
                const std::string text = std::to_string(t) + ":" + std::to_string(i);
                while (handle.post(to_bytes(text)) == belay::driver::Post::full)
                    std::this_thread::yield();
            }
        });
    }
    CHECK(loop.run_until([&] { return app.messages.size() == threads * each; }));
    for (std::thread& t : pool) t.join();
    // All messages came back, and those of one thread in its order.
    std::vector<int> next(threads, 0);
    bool in_order = true;
    for (const std::string& m : app.messages) {
        int& expected = next[static_cast<std::size_t>(m[0] - '0')];
        in_order = in_order && m.substr(2) == std::to_string(expected++);
    }
    CHECK(in_order);
}

TEST_CASE("Listener aborts on options with which it would accept no connection",
          "[posix][posix_listener][unit]") {
    const auto aborts = [](const posix::ListenerOptions& options) {
        return aborts_with([&] {
            posix::Loop<> loop;
            Listener listener{loop, [](Accepted<>) {}, options};
        });
    };
    CHECK(aborts({.accepts_per_turn_max = 0}).find("accepts_per_turn_max must be > 0") !=
          std::string::npos);
}
