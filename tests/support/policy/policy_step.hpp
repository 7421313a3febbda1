// SPDX-License-Identifier: MIT
/// \file tests/support/policy/policy_step.hpp
/// policy_step: calls every hook of a policy, without allocations of its own.
#pragma once

#include <cstddef>

#include <belay/policy/rule.hpp>

namespace belay_test {

/// Makes one attempt if it is allowed, of which each third succeeds. Then a connection is lost.
/// Returns the length of the names of the rules that gave the advice.
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
