// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/peer_evidence.hpp
/// peer_evidence: what a failed attempt shows about the peer's health.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The state of the peer, as far as a failed attempt shows it.
enum class PeerEvidence : std::uint8_t {
    unwell,  ///< the peer did not serve the request
    well,    ///< the peer responded and rejected the request
    nothing  ///< the request did not reach the peer
};

/// Returns what a failure shows about the peer, by default; users may override it.
/// Complexity: O(1).
[[nodiscard]] constexpr PeerEvidence peer_evidence(const Failure& failure) noexcept {
    // The origin is checked first, because a local layer may reject with a cause that a peer may
    // report, too.
    if (failure.origin == FailureOrigin::local || failure.cause == Cause::planned) {
        return PeerEvidence::nothing;
    }
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
