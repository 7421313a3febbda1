// SPDX-License-Identifier: MIT
/// \file tests/support/policy/policy_step.hpp
/// policy_step: drives a policy through all that may happen, without allocating by itself.
#pragma once

#include <cstddef>

#include <belay/policy/rule.hpp>

namespace belay_test {

/// One attempt, if it is allowed, of which each third works; then a connection is lost. The answer is
/// how long the names of the rules were that said something.
template <class P>
std::size_t policy_step(P& policy, belay::Turn& turn, int i) {
    std::size_t output = 0;
    const bool allowed = policy.admit(turn.now).allows(turn.now);
    if (allowed && policy.begin(turn).verb == belay::Advice::Verb::go) {
        if (i % 3 == 0) {
            policy.succeeded(turn);
        } else {
            output +=
                policy.failed(belay::Failure{.cause = belay::Cause::overloaded}, turn).by.size();
        }
    }
    return output + policy.lost(belay::Failure{.cause = belay::Cause::lost}, turn).by.size();
}

}  // namespace belay_test
