// SPDX-License-Identifier: MIT
/// \file tests/support/fleet/fleet_rig.hpp
/// FleetRig: a fleet of services with scripted connections and time.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

/// The calls of a policy's hooks.
struct RecordedEvents {
    int begun = 0, failed = 0, lost = 0, succeeded = 0, abandoned = 0;
    belay::Instant failed_at = belay::always;
};

/// A rule that records the calls of its hooks, and requests a wait of one second after each
/// failure.
struct Recorder {
    RecordedEvents* recorded;

    void begin(belay::Turn&) noexcept { ++recorded->begun; }
    belay::Advice failed(const belay::Failure&, belay::Turn& turn) noexcept {
        ++recorded->failed;
        recorded->failed_at = turn.now;
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    belay::Advice lost(const belay::Failure&, belay::Turn& turn) noexcept {
        ++recorded->lost;
        recorded->failed_at = turn.now;
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    void succeeded(belay::Turn&) noexcept { ++recorded->succeeded; }
    void abandoned(belay::Turn&) noexcept { ++recorded->abandoned; }
};

/// Records the events of its service.
struct Observed {
    std::vector<std::string>* all;
    std::string name;

    void on_state(const belay::Transition& t) {
        all->push_back(name + " " + std::string{to_string(t.to.state)});
    }
    void on_message(const std::string& m) { all->push_back(name + " says " + m); }
};

/// Records the events of the fleet.
struct Suspicions {
    std::vector<belay::NetworkSuspect> all;
    void on_network_suspect(const belay::NetworkSuspect& what) { all.push_back(what); }
};

struct FleetRig {
    explicit FleetRig(belay::FleetOptions options = {}) : fleet{options} {
        fleet.attach(belay::Waker{});
    }

    /// Adds services with numbers as names, which record into `observed`.
    void add(int count, std::uint8_t priority = 0,
             belay::Duration spread_within = std::chrono::seconds{1}) {
        for (int i = 0; i < count; ++i) {
            const std::string name = std::to_string(transports.size());
            transports.emplace_back();
            recorded.emplace_back();
            belay::ServiceOptions options;
            options.priority = priority;
            options.supervisor.core.spread_within = spread_within;
            fleet.add(name, FakeTransport<>{transports.back()}, Recorder{&recorded.back()},
                      std::move(options), Observed{&observed, name});
        }
    }
    /// Runs each event that is due until then, at its time.
    void run(belay::Duration until) {
        for (int turns = 0; fleet.deadline() <= at(until); ++turns) {
            REQUIRE(turns < 10'000);
            now = belay::detail::larger(now, fleet.deadline());
            fleet.advance(now);
        }
        now = at(until);
    }
    /// Ends the connection of a service with this failure.
    void fail(std::size_t i, belay::Failure why = belay_test::lost) {
        static_cast<void>(transports[i].link.closed(why));
    }
    /// Opens the connection, and answers the ping at the opening.
    void open(std::size_t i) {
        static_cast<void>(transports[i].link.opened());
        static_cast<void>(transports[i].link.pong());
    }
    [[nodiscard]] belay::LinkStatus status(std::size_t i) const {
        for (const belay::ServiceStatus& s : fleet.status().services) {
            if (s.name == std::to_string(i)) return s.link;
        }
        return {};
    }
    [[nodiscard]] belay::LinkState state(std::size_t i) const { return status(i).state; }
    /// Starts all services, and opens their connections.
    void up(belay::Duration when = {}) {
        fleet.start();
        for (int round = 0; round < 1000 && !all_up(); ++round) {
            run(when);
            for (std::size_t i = 0; i < transports.size(); ++i) {
                if (state(i) == belay::LinkState::connecting && transports[i].live != 0) open(i);
            }
            run(when);
        }
        REQUIRE(all_up());
    }
    [[nodiscard]] bool all_up() const {
        return fleet.status().count(belay::LinkState::connected) == fleet.size();
    }
    [[nodiscard]] int live() const {
        int sum = 0;
        for (const TransportState& transport : transports) sum += transport.live;
        return sum;
    }
    [[nodiscard]] int dials() const {
        int sum = 0;
        for (const TransportState& transport : transports) sum += transport.dials;
        return sum;
    }

    std::deque<TransportState> transports{};  // declared before the fleet, which they must outlive
    std::deque<RecordedEvents> recorded{};
    std::vector<std::string> observed{};
    belay::Instant now{};
    belay::Fleet<Suspicions> fleet;
};

}  // namespace belay_test
