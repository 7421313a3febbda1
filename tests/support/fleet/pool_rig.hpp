// SPDX-License-Identifier: MIT
/// \file tests/support/fleet/pool_rig.hpp
/// PoolRig: a pool with scripted connections and time.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/pool.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

/// All connections that a pool dialled, in order.
struct ScriptedConnections {
    struct State {
        belay::Link<std::string> link{};
        bool live = false;
        std::vector<std::string> sent{};
    };
    std::deque<State> all{};
    bool opens = false;      ///< opens each connection at once
    belay::Failure fails{};  ///< otherwise fails each at once, if there is a cause

    [[nodiscard]] int live() const {
        int sum = 0;
        for (const State& connection : all) sum += connection.live ? 1 : 0;
        return sum;
    }
};

struct ScriptedPoolTransport {
    using message_type = std::string;
    struct Connection {
        Connection(ScriptedConnections& connections, const belay::Link<std::string>& link)
            : connection{connections.all.emplace_back()} {
            connection.link = link;
            connection.live = true;
            if (connections.opens) static_cast<void>(link.opened());
            if (connections.fails.cause != belay::Cause::none) {
                static_cast<void>(link.closed(connections.fails));
            }
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { connection.live = false; }
        belay::SendResult send(const std::string& m) noexcept {
            connection.sent.push_back(m);
            return belay::SendResult::sent;
        }
        ScriptedConnections::State& connection;
    };
    Connection open(const belay::Link<std::string>& link) { return {*connections, link}; }
    ScriptedConnections* connections;
};

/// Waits of one second, and no wait for a gate.
inline auto a_second() {
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{std::chrono::seconds{1}},
                                        std::chrono::seconds{1}}};
}

/// Records the events of a pool.
struct PoolNotes {
    std::vector<std::string>* all;
    void on_state(std::size_t i, const belay::Transition& t) {
        all->push_back(std::to_string(i) + " " + std::string{to_string(t.to.state)});
    }
    void on_message(std::size_t i, const std::string& m) {
        all->push_back(std::to_string(i) + " says " + m);
    }
    void on_idle() { all->emplace_back("idle"); }
};

struct PoolRig {
    using Tested = belay::Pool<ScriptedPoolTransport, decltype(a_second()), PoolNotes>;

    explicit PoolRig(std::size_t size)
        : pool{std::make_unique<Tested>(ScriptedPoolTransport{&connections}, a_second(),
                                        belay::PoolOptions{.size = size}, PoolNotes{&observed})} {
        pool->attach(belay::Waker{});
    }
    void run(belay::Duration until) {
        for (int turns = 0; pool->deadline() <= at(until); ++turns) {
            REQUIRE(turns < 10'000);
            now = belay::detail::larger(now, pool->deadline());
            pool->advance(now);
        }
        now = at(until);
    }
    /// Starts the pool at this time; all connections are open when it returns.
    void up(belay::Duration when = std::chrono::seconds{10}) {
        connections.opens = true;
        pool->start();
        run(when);
        REQUIRE(pool->status().connected == pool->status().size);
        connections.opens = false;
        observed.clear();
    }

    ScriptedConnections connections{};
    std::vector<std::string> observed{};
    belay::Instant now{};
    std::unique_ptr<Tested> pool;
};

}  // namespace belay_test
