// SPDX-License-Identifier: MIT
/// \file belay/call/call_errc.hpp
/// CallErrc: what a call reports if no attempt left an error of its own.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/call. New ones are appended; values never change.
enum class CallErrc {
    gave_up = 1,        ///< a rule of the policy advised stop, or a wait without end
    stopped = 2,        ///< a stop was requested from the stop token
    breaker_open = 3,   ///< a breaker is open without end: no later moment would help
    call_failed = 4,    ///< the call failed, and left no error of its own
    call_rejected = 5,  ///< the call was not made: a breaker, limiter or bulkhead rejected it
    injected = 6,       ///< the call was not made: a chaos::Layer injected a failure
};

namespace detail {
inline constexpr ErrorText call_error_texts[] = {
    {"a rule of the policy stopped the retries", Cause::lost},
    {"stopped on request", Cause::planned, FailureOrigin::local},
    {"the circuit breaker is open", Cause::overloaded, FailureOrigin::local},
    {"the call failed", Cause::lost},
    {"the call was rejected before it was made", Cause::overloaded, FailureOrigin::local},
    {"the failure was injected on purpose", Cause::lost},
};

/// Returns the category "belay.call".
[[nodiscard]] inline const std::error_category& call_category() noexcept {
    static const TableCategory category{"belay.call", call_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code from a CallErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(CallErrc errc) noexcept {
    return {static_cast<int>(errc), detail::call_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::CallErrc> : std::true_type {};
