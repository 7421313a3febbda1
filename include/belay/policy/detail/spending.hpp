// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/spending.hpp
/// Policy::Spending: reports to rules what only retries and supervisors know.
#pragma once

#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Reports to the rules that an attempt was made, and that its caller stopped waiting for its
/// result. Then a retry stays paid for: budgets do not get it back at the `abandoned` that follows.
///
/// A rule takes part if it has `spend(Turn&)`. Only Shared rules, and rules that hold a policy, do.
/// The same is true of `rejected(Turn&)`: an attempt was due, and a rule rejected it.
template <class... Rules>
struct Policy<Rules...>::Spending {
    static constexpr void report(Policy& policy, [[maybe_unused]] Turn& turn) noexcept {
        policy.visit([&](auto& rule) {
            if constexpr (requires { rule.spend(turn); }) rule.spend(turn);
        });
    }
    static constexpr void reject(Policy& policy, [[maybe_unused]] Turn& turn) noexcept {
        policy.visit([&](auto& rule) {
            if constexpr (requires { rule.rejected(turn); }) rule.rejected(turn);
        });
    }
};

namespace detail {

/// The same for a policy of any kind.   Pre: an attempt has begun.
template <class P>
constexpr void spend(P& policy, Turn& turn) noexcept {
    if constexpr (requires { policy.spend(turn); }) {
        policy.spend(turn);
    } else {
        P::Spending::report(policy, turn);
    }
}
/// Reports to a policy of any kind that an attempt was due, and that `admit` rejected it.
template <class P>
constexpr void reject(P& policy, Turn& turn) noexcept {
    if constexpr (requires { policy.rejected(turn); }) {
        policy.rejected(turn);
    } else {
        P::Spending::reject(policy, turn);
    }
}

}  // namespace detail

}}  // namespace belay
