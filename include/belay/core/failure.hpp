// SPDX-License-Identifier: MIT
/// \file belay/core/failure.hpp
/// Failure: what went wrong, as one small value; text is made on demand.
#pragma once

#include <string>  // std::string

#include <belay/core/cause.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The reason why an attempt failed, a connection ended, or a call did not work.
///
/// Thread safety: a plain value.
struct Failure {
    /// Which side decided a failure: `answered`, `silent`, `cut_short`, `local`, or `unset`.
    ///
    /// A `local` failure never counts against the peer, and an `unset` one counts as the peer's. A
    /// call that a Pipeline has `cut_short` counts, too, but not if it was a breaker's probe. An
    /// Origin is also an error condition, like a Cause. Your error category takes part if its
    /// `equivalent` returns true for one of these values.
    using Origin = detail::FailureOrigin;

    /// The classification that rules use for their decisions.
    Cause cause = Cause::none;
    /// Which side decided the failure.
    Origin origin = Origin::unset;
    /// The value of the error code that occurred; 0 if there was none.
    std::int32_t code = 0;
    /// The category of `code`; null if there was none. Error categories are never destroyed.
    const std::error_category* category = nullptr;
    /// The wait that the other side requested ("Retry-After"); 0ns if it requested none.
    Duration retry_after{};

    /// Returns the failure that an error code describes.   Complexity: O(1).
    [[nodiscard]] static Failure from(const std::error_code& error,
                                      Duration retry_after = {}) noexcept {
        return {cause_of(error), detail::origin_of(error), error.value(), &error.category(),
                retry_after};
    }

    /// Returns the error code that occurred, or an empty one.
    [[nodiscard]] std::error_code error() const noexcept {
        return category != nullptr ? std::error_code{code, *category} : std::error_code{};
    }

    /// Returns a text for people, "timed_out: Connection timed out".
    /// Allocates: the text.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text{to_string(cause)};
        if (category != nullptr && code != 0) text += ": " + category->message(code);
        return text;
    }

    friend constexpr bool operator==(const Failure&, const Failure&) noexcept = default;
};

namespace detail {

/// Returns the failure that counts when both happen in one turn: the more severe, else the first.
[[nodiscard]] constexpr const Failure& more_severe(const Failure& first,
                                                   const Failure& second) noexcept {
    return second.cause > first.cause ? second : first;
}

}  // namespace detail

}}  // namespace belay
