// SPDX-License-Identifier: MIT
// Goal: over real sockets, services stay connected while one of them is down, and the loop is
// woken whenever a service may dial. Method: echo servers on loopback, one of which is stopped.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Sends back the messages that it receives.
class EchoPeer {
public:
    explicit EchoPeer(posix::Loop<>& loop) : loop_{loop}, listener_{loop, Accepts{this}} {
        REQUIRE_FALSE(listener_.listen({"127.0.0.1", 0}));
    }
    [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

private:
    struct Echo {
        void on_message(auto& link, const Bytes& m) { static_cast<void>(link.send(m)); }
    };
    using ServedConnection = Supervisor<posix::Accepted<>, MaxAttempts, Echo>;
    struct Accepts {
        EchoPeer* server;
        void operator()(posix::Accepted<> connection) {
            auto& served_connections = server->served_connections_;
            served_connections.push_back(std::make_unique<ServedConnection>(
                std::move(connection), MaxAttempts{1}, SupervisorOptions{}, Echo{}));
            server->loop_.attach(*served_connections.back());
            served_connections.back()->start();
        }
    };

    posix::Loop<>& loop_;
    std::vector<std::unique_ptr<ServedConnection>> served_connections_{};
    posix::Listener<Accepts> listener_;
};

struct RepliesToEach {
    int received = 0;
    void on_state(auto& link, const Transition& t) {
        if (t.to.state == LinkState::connected) static_cast<void>(link.send(Bytes(8)));
    }
    void on_message(auto& link, const Bytes& m) {
        ++received;
        static_cast<void>(link.send(m));
    }
};

/// A transport that never opens.
struct NeverOpens {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::down; }
    };
    int* dials;
    Connection open(const Link<Bytes>&) {
        ++*dials;
        return {};
    }
};

Policy<decltype(Backoff{FullJitter{}, Cap{20ms}, 2ms})> quick_policy() {
    return Policy{Backoff{FullJitter{}, Cap{20ms}, 2ms}};
}

}  // namespace

TEST_CASE("Fleet: services A and C stay connected while B is down, over real sockets",
          "[posix][fleet][integration]") {
    posix::Loop<> loop;
    EchoPeer a_server{loop};
    std::optional<EchoPeer> b_server{loop};
    EchoPeer c_server{loop};
    Fleet fleet{{.hold = 5ms}};
    loop.attach(fleet);
    const auto to = [&](const EchoPeer& server) {
        return posix::Tcp{loop, {"127.0.0.1", server.port()}};
    };
    auto& a = fleet.add("a", to(a_server), quick_policy(), RepliesToEach{});
    auto& b = fleet.add("b", to(*b_server), quick_policy(), RepliesToEach{});
    auto& c = fleet.add("c", to(c_server), quick_policy(), RepliesToEach{});
    fleet.start();
    REQUIRE(loop.run_until(
        [&] {
            return a.observer().received > 100 && b.observer().received > 100 &&
                   c.observer().received > 100;
        },
        30s));
    b_server.reset();
    REQUIRE(loop.run_until([&] { return b.status().attempt >= 4; }, 5min));
    const int a_received = a.observer().received;
    const int c_received = c.observer().received;
    REQUIRE(loop.run_until(
        [&] {
            return a.observer().received > a_received + 1000 &&
                   c.observer().received > c_received + 1000;
        },
        30s));
    const FleetStatus status = fleet.status();
    CHECK(status.count(LinkState::connected) == 2);
    CHECK(status.services[1].link.failure.cause == Cause::refused);
    CHECK(a.status().attempt <= 1);
    CHECK(c.status().attempt <= 1);
}

TEST_CASE("Fleet: removing a dialling service wakes the loop for the next one",
          "[posix][fleet][integration]") {
    posix::Loop<> loop;
    int dials = 0;
    Fleet fleet{{.dials_max = 1}};
    loop.attach(fleet);
    fleet.add("a", NeverOpens{&dials}, MaxAttempts{2});
    fleet.add("b", NeverOpens{&dials}, MaxAttempts{2});
    fleet.start();
    REQUIRE(loop.run_until([&] { return dials == 1; }, 5min));
    REQUIRE(loop.run_until([&] { return loop.post([] {}) == driver::Post::taken; }, 5min));
    // This is outside of a turn of the fleet: no other event would wake it before 30 s.
    static_cast<void>(loop.after(1ms, [&] { fleet.remove("a"); }));
    REQUIRE(loop.run_until([&] { return dials == 2; }, 20s));
}
