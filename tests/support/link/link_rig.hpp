// SPDX-License-Identifier: MIT
/// \file tests/support/link/link_rig.hpp
/// LinkRig: a supervisor over any transport, an observer that records all events, and time set by
/// the test.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/supervisor.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/shorthand.hpp"

namespace belay_test {

using Observed = std::vector<std::string>;

/// Records the events that it sees.
struct Notes {
    Observed observed;

    void on_state(const belay::Transition& t) { observed.emplace_back(to_string(t.to.state)); }
    void on_message(const std::string& m, belay::Lane lane) {
        observed.push_back("message " + m + " on " + std::to_string(lane));
    }
    void on_writable(belay::Lane lane) { observed.push_back("writable " + std::to_string(lane)); }
    void on_unsent(const std::string& m, belay::Lane) { observed.push_back("unsent " + m); }
};

/// A policy with waits of 1, 2, 4, 8, 8 s.
inline auto doubling() {
    return belay::Policy{belay::Backoff{belay::NoJitter{}, belay::Cap{std::chrono::seconds{8}},
                                        std::chrono::seconds{1}}};
}

template <class T, class O = std::reference_wrapper<Notes>>
struct LinkRig {
    Notes notes;
    belay::Supervisor<T, decltype(doubling()), O> link;

    explicit LinkRig(T transport)
        requires std::same_as<O, std::reference_wrapper<Notes>>
        : link{std::move(transport), doubling(), {}, std::ref(notes)} {}
    LinkRig(T transport, O observer)
        : link{std::move(transport), doubling(), {}, std::move(observer)} {}

    /// Advances until no turn is due at `now`.
    void run(belay::Duration now) {
        for (int i = 0; i < 1000 && link.deadline() <= at(now); ++i) link.advance(at(now));
        REQUIRE(link.deadline() > at(now));
    }
    void start(belay::Duration now = {}) {
        link.start();
        run(now);
    }
    [[nodiscard]] belay::LinkState state() const { return link.status().state; }
};

inline belay::driver::Post receive(const belay::Link<std::string>& link, std::string text) {
    return link.received(std::move(text));
}

}  // namespace belay_test
