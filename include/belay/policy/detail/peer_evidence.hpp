// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/peer_evidence.hpp
/// peer_evidence: what a failed attempt shows about the peer's health.
#pragma once

#include <cerrno>        // ENOMEM and others
#include <cstdint>       // std::uint8_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_condition

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The state of the peer, as far as a failed attempt shows it.
enum class PeerEvidence : std::uint8_t {
    unwell,  ///< the peer did not serve the request
    well,    ///< the peer responded and rejected the request
    nothing  ///< the request did not reach the peer
};

/// Returns whether the failure is local, so that no peer can have caused it. It is local if the
/// process had no memory, descriptors or buffers, if it cancelled the attempt, or if a local layer
/// or breaker rejected it.   Pre: there is a category.
[[nodiscard]] inline bool is_our_own(const Failure& failure) noexcept {
    const std::error_condition condition = failure.error().default_error_condition();
    // Compares names, as cause_of does. The values are those of CallErrc, whose component depends
    // on this one.
    const std::string_view category{condition.category().name()};
    constexpr std::int32_t breaker_open = 3;
    constexpr std::int32_t call_rejected = 5;
    if (std::string_view{failure.category->name()} == "belay.call") {
        return failure.code == breaker_open || failure.code == call_rejected;
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

/// Returns what a failure shows about the peer, by default; users may override it.
/// Complexity: O(1).
[[nodiscard]] constexpr PeerEvidence peer_evidence(const Failure& failure) noexcept {
    if (failure.cause == Cause::planned) return PeerEvidence::nothing;
    // Checked before the cause, because a local layer may reject with a cause that a peer may
    // report, too.
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
