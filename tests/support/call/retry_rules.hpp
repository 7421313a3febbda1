// SPDX-License-Identifier: MIT
/// \file tests/support/call/retry_rules.hpp
/// steady: a policy whose waits are not random. Counts: a rule that counts its calls.
#pragma once

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

namespace belay_test {

constexpr auto steady(belay::Duration base, std::uint64_t most) {
    return belay::Policy{
        belay::Backoff{belay::NoJitter{}, belay::Cap{std::chrono::seconds{30}}, base},
        belay::MaxAttempts{most}};
}

/// A user's rule in a few lines, which records its calls.
struct Counts {
    struct Observed {
        int begun = 0, failed = 0, succeeded = 0, abandoned = 0;
        friend bool operator==(const Observed&, const Observed&) = default;
    };
    Observed* observed;
    void begin(belay::Turn&) noexcept { ++observed->begun; }
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return ++observed->failed, belay::Advice::go();
    }
    void succeeded(belay::Turn&) noexcept { ++observed->succeeded; }
    void abandoned(belay::Turn&) noexcept { ++observed->abandoned; }
};

}  // namespace belay_test
