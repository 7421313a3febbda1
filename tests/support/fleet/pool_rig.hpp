// SPDX-License-Identifier: MIT
/// \file tests/support/fleet/pool_rig.hpp
/// PoolRig: a pool whose connections the test plays, and time by hand.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/fleet/pool.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

/// All dials of a pool, in their order.
struct Harbour {
    struct Berth {
        belay::Link<std::string> link{};
        bool live = false;
        std::vector<std::string> sent{};
    };
    std::deque<Berth> all{};
    bool opens = false;      ///< at once
    belay::Failure fails{};  ///< else: fails at once, if there is a cause

    [[nodiscard]] int live() const {
        int sum = 0;
        for (const Berth& berth : all) sum += berth.live ? 1 : 0;
        return sum;
    }
};

struct HarbourTransport {
    using message_type = std::string;
    struct Connection {
        Connection(Harbour& harbour, const belay::Link<std::string>& link)
            : berth{harbour.all.emplace_back()} {
            berth.link = link;
            berth.live = true;
            if (harbour.opens) static_cast<void>(link.opened());
            if (harbour.fails.cause != belay::Cause::none) {
                static_cast<void>(link.closed(harbour.fails));
            }
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { berth.live = false; }
        belay::SendResult send(const std::string& m) noexcept {
            berth.sent.push_back(m);
            return belay::SendResult::sent;
        }
        Harbour::Berth& berth;
    };
    Connection open(const belay::Link<std::string>& link) { return {*harbour, link}; }
    Harbour* harbour;
};

/// Waits of a second, and no wait for a gate.
inline auto a_second() {
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{std::chrono::seconds{1}},
                                        std::chrono::seconds{1}}};
}

/// Counts what a pool tells.
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
    using Tested = belay::Pool<HarbourTransport, decltype(a_second()), PoolNotes>;

    explicit PoolRig(std::size_t size)
        : pool{std::make_unique<Tested>(HarbourTransport{&harbour}, a_second(),
                                        belay::PoolOptions{.size = size}, PoolNotes{&seen})} {
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
    /// All are up when it returns, at that time.
    void up(belay::Duration when = std::chrono::seconds{10}) {
        harbour.opens = true;
        pool->start();
        run(when);
        REQUIRE(pool->status().connected == pool->status().size);
        harbour.opens = false;
        seen.clear();
    }

    Harbour harbour{};
    std::vector<std::string> seen{};
    belay::Instant now{};
    std::unique_ptr<Tested> pool;
};

}  // namespace belay_test
