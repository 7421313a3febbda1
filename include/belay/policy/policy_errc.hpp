// SPDX-License-Identifier: MIT
/// \file belay/policy/policy_errc.hpp
/// PolicyErrc: what policies report where no attempt left an error of its own.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/cause.hpp>

namespace belay::inline BELAY_ABI {

/// The errors of belay/policy. Appended to, never renumbered.
enum class PolicyErrc {
    gave_up = 1,      ///< a rule of the policy said stop
    stopped = 2,      ///< the stop token was asked to stop
    breaker_open = 3  ///< suspended without end: no later moment would help
};

namespace detail {
inline constexpr ErrorText policy_errors[] = {
    {"gave up: a rule of the policy said stop", Cause::lost},
    {"stopped on request", Cause::planned},
    {"the circuit breaker is open", Cause::overloaded},
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
