// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/spending.hpp
/// Policy::Spending: keeps a retry paid for whose caller does not wait for its result.
#pragma once

#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Reports to the rules that an attempt was made, and that its caller stopped waiting for its
/// result. Then a retry stays paid for: budgets do not get it back at the `abandoned` that follows.
///
/// A rule takes part if it has `spend(Turn&)`. Only Shared rules, and rules that hold a policy, do.
template <class... Rules>
struct Policy<Rules...>::Spending {
    static constexpr void report(Policy& policy, [[maybe_unused]] Turn& turn) noexcept {
        policy.visit([&](auto& rule) {
            if constexpr (requires { rule.spend(turn); }) rule.spend(turn);
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

}  // namespace detail

}}  // namespace belay
