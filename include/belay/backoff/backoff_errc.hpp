// SPDX-License-Identifier: MIT
/// \file belay/backoff/backoff_errc.hpp
/// BackoffErrc: what is wrong with the parts of a backoff.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/cause.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/backoff. New ones are appended; values never change.
enum class BackoffErrc {
    bad_base = 1,    ///< the base must be > 0ns, and at most 292 years
    bad_factor = 2,  ///< the factor must be a finite number >= 1
    bad_cap = 3,     ///< the cap must be > 0ns, at most 292 years, and not below the first wait
    bad_floor = 4,   ///< the floor must be >= 0ns, and leave the jitter a choice
    bad_jitter = 5,  ///< the percentages of a jitter must be <= 100
    bad_delays = 6   ///< delays must be in [0ns, 292 years], and the last one > 0ns
};

namespace detail {
inline constexpr ErrorText backoff_error_texts[] = {
    {"the base of a backoff must be > 0ns and at most 292 years", Cause::permanent},
    {"the factor of a backoff must be finite and >= 1", Cause::permanent},
    {"the cap of a backoff must be > 0ns, at most 292 years and not below the first wait",
     Cause::permanent},
    {"the floor of a backoff must be >= 0ns, and far enough below the first wait and the cap that "
     "the jitter has a range",
     Cause::permanent},
    {"the percentages of a jitter must be <= 100", Cause::permanent},
    {"the delays of a backoff must be in [0ns, 292 years], and the last one > 0ns",
     Cause::permanent},
};

/// Returns the category "belay.backoff".
[[nodiscard]] inline const std::error_category& backoff_category() noexcept {
    static const TableCategory category{"belay.backoff", backoff_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code from a BackoffErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(BackoffErrc errc) noexcept {
    return {static_cast<int>(errc), detail::backoff_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::BackoffErrc> : std::true_type {};
