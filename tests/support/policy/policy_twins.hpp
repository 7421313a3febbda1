// SPDX-License-Identifier: MIT
/// \file tests/support/policy/policy_twins.hpp
/// twins_agree: plays the same random events to two forms of a policy, and compares all results.
#pragma once

#include <vector>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// The next event, and its time after the event before it.
struct TwinEvent {
    int what;
    int wait_ms;
    int cause;
    int hint_ms;
};

inline std::vector<TwinEvent> twin_events() {
    return *rc::gen::container<std::vector<TwinEvent>>(rc::gen::build<TwinEvent>(
        rc::gen::set(&TwinEvent::what, rc::gen::inRange(0, 6)),
        rc::gen::set(&TwinEvent::wait_ms, rc::gen::element(0, 1, 500, 20'000, 50'000)),
        rc::gen::set(&TwinEvent::cause, rc::gen::element(1, 2, 4, 5, 8)),
        rc::gen::set(&TwinEvent::hint_ms, rc::gen::element(0, 0, 700, 60'000))));
}

/// Plays the events by the rules of RuleLike: an attempt, or a loss, only where it is allowed.
template <class A, class B>
void twins_agree(A first, B second, const std::vector<TwinEvent>& events = twin_events()) {
    using namespace belay;
    Random bits[2] = {Random{Seed{5}}, Random{Seed{5}}};
    Turn turns[2] = {{Instant{}, bits[0]}, {Instant{}, bits[1]}};
    const auto both = [&](auto use) {
        const auto one = use(first, turns[0]);
        const auto other = use(second, turns[1]);
        RC_ASSERT(one.verb == other.verb);
        RC_ASSERT(one.until == other.until);
        RC_ASSERT(one.by == other.by);
        return one.verb;
    };
    bool wanted = false;
    for (const TwinEvent& event : events) {
        const Failure failure{.cause = static_cast<Cause>(event.cause),
                              .retry_after = std::chrono::milliseconds{event.hint_ms}};
        for (Turn& turn : turns)
            turn.now = after(turn.now, std::chrono::milliseconds{event.wait_ms});
        both([](auto& policy, Turn& turn) { return policy.admit(turn.now); });
        RC_ASSERT(first.attempt_limit(std::chrono::hours{1}) ==
                  second.attempt_limit(std::chrono::hours{1}));
        RC_ASSERT(first.stable_window(std::chrono::hours{1}) ==
                  second.stable_window(std::chrono::hours{1}));
        RC_ASSERT(first.stable_by_age() == second.stable_by_age());
        RC_ASSERT(first.stops_after(turns[0].now) == second.stops_after(turns[1].now));
        if (event.what == 0) {
            first.abandoned(turns[0]);
            second.abandoned(turns[1]);
            wanted = false;
            continue;
        }
        if (event.what == 1) {
            const auto verb =
                both([&](auto& policy, Turn& turn) { return policy.lost(failure, turn); });
            wanted = verb != Advice::Verb::stop;
            if (verb == Advice::Verb::stop) {
                first.reset();
                second.reset();
            }
            continue;
        }
        if (!wanted) {
            if constexpr (requires { first.wanted(turns[0]); }) {
                first.wanted(turns[0]);
                second.wanted(turns[1]);
            }
            wanted = true;
        }
        if (both([](auto& policy, Turn& turn) { return policy.begin(turn); }) != Advice::Verb::go) {
            continue;
        }
        if (event.what == 2) {
            first.succeeded(turns[0]);
            second.succeeded(turns[1]);
            wanted = false;
        } else {
            const auto verb =
                both([&](auto& policy, Turn& turn) { return policy.failed(failure, turn); });
            wanted = verb != Advice::Verb::stop;
            if (verb == Advice::Verb::stop) {
                first.reset();
                second.reset();
            }
        }
    }
    RC_ASSERT(bits[0]() == bits[1]());
}

}  // namespace belay_test
