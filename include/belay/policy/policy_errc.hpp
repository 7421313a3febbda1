// SPDX-License-Identifier: MIT
/// \file belay/policy/policy_errc.hpp
/// PolicyErrc: what policies report where no attempt left an error of its own.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/cause.hpp>

namespace belay::inline BELAY_ABI {

/// The errors of belay/policy. Appended to, never renumbered.
enum class PolicyErrc {
    gave_up = 1,       ///< a rule of the policy said stop
    stopped = 2,       ///< the stop token was asked to stop
    breaker_open = 3,  ///< suspended without end: no later moment would help
    call_failed = 4,   ///< the call failed, and left no error of its own
    call_refused = 5,  ///< the call was not made: a breaker, limiter or bulkhead refused it
    bad_base = 6,      ///< a backoff: the base must be > 0ns, and at most 292 years
    bad_factor = 7,    ///< a backoff: the factor must be a finite number >= 1
    bad_cap =
        8,  ///< a backoff: the cap must be > 0ns, at most 292 years, and not below the first wait
    bad_floor = 9,    ///< a backoff: the floor must be >= 0ns, and leave the jitter a choice
    bad_jitter = 10,  ///< a backoff: the percentages of a jitter must be <= 100
    bad_delays = 11   ///< a backoff: delays must be in [0ns, 292 years], and the last one > 0ns
};

namespace detail {
inline constexpr ErrorText policy_errors[] = {
    {"gave up: a rule of the policy said stop", Cause::lost},
    {"stopped on request", Cause::planned},
    {"the circuit breaker is open", Cause::overloaded},
    {"the call failed", Cause::lost},
    {"the call was refused before it was made", Cause::overloaded},
    {"the base of a backoff must be > 0ns, and at most 292 years", Cause::permanent},
    {"the factor of a backoff must be a finite number >= 1", Cause::permanent},
    {"the cap of a backoff must be > 0ns, at most 292 years, and not below the first wait",
     Cause::permanent},
    {"the floor of a backoff must be >= 0ns, and so far below the first wait and the cap that the "
     "jitter can choose",
     Cause::permanent},
    {"the percentages of a jitter must be <= 100", Cause::permanent},
    {"the delays of a backoff must be in [0ns, 292 years], the last one > 0ns", Cause::permanent},
};
}  // namespace detail

/// The category "belay.policy".
[[nodiscard]] inline const std::error_category& policy_category() noexcept {
    static const detail::TableCategory category{"belay.policy", detail::policy_errors};
    return category;
}

[[nodiscard]] inline std::error_code make_error_code(PolicyErrc errc) noexcept {
    return {static_cast<int>(errc), policy_category()};
}

}  // namespace belay::inline BELAY_ABI

template <>
struct std::is_error_code_enum<belay::PolicyErrc> : std::true_type {};
