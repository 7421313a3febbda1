// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/peer_evidence.hpp
/// peer_evidence: what a failed attempt says of the peer's health.
#pragma once

#include <cerrno>        // ENOMEM and others
#include <cstdint>       // std::uint8_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_condition

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What is known of the peer after an attempt that failed.
enum class PeerEvidence : std::uint8_t {
    unwell,  ///< it did not serve us
    well,    ///< it answered, and says no
    nothing  ///< it was not asked
};

/// Whether no peer can have answered so: we had no memory, descriptors or buffers, cancelled the
/// attempt, or a layer or a breaker of our own refused it.   Pre: there is a category.
[[nodiscard]] inline bool is_our_own(const Failure& failure) noexcept {
    const std::error_condition condition = failure.error().default_error_condition();
    // By name, as in cause_of. The values are CallErrc's, whose room stands on this one.
    const std::string_view category{condition.category().name()};
    constexpr std::int32_t breaker_open = 3;
    constexpr std::int32_t call_refused = 5;
    if (std::string_view{failure.category->name()} == "belay.call") {
        return failure.code == breaker_open || failure.code == call_refused;
    }
    if (category != "generic") return false;
    switch (condition.value()) {
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ECANCELED:
            return true;
        default:
            return false;
    }
}

/// What a failure says, unless the user knows better.   Complexity: O(1).
[[nodiscard]] constexpr PeerEvidence peer_evidence(const Failure& failure) noexcept {
    if (failure.cause == Cause::planned) return PeerEvidence::nothing;
    // Before the cause: a layer of our own may refuse for a reason that a peer may have, too.
    if (failure.category != nullptr && is_our_own(failure)) return PeerEvidence::nothing;
    switch (failure.cause) {
        case Cause::permanent:
        case Cause::forbidden:
        case Cause::unauthorized:
            return PeerEvidence::well;
        default:
            return PeerEvidence::unwell;
    }
}

}}}  // namespace belay::detail
