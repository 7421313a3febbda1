// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/causes.hpp
/// CauseSet: a set of causes in four bytes. peer_evidence: what a failed attempt shows about the
/// peer's health.
#pragma once

#include <concepts>  // std::same_as
#include <cstdint>   // std::uint8_t, std::uint32_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A set of causes. As a predicate on failures, it tests whether the failure's cause is in the set.
///
/// Thread safety: a plain value.
class CauseSet {
public:
    constexpr explicit CauseSet(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : bits_{(bit(causes) | ...)} {}

    [[nodiscard]] constexpr bool has(Cause cause) const noexcept {
        return (bits_ & bit(cause)) != 0;
    }
    /// Returns the set of all other causes.
    [[nodiscard]] constexpr CauseSet others() const noexcept {
        CauseSet set{*this};
        set.bits_ = ~bits_;
        return set;
    }
    [[nodiscard]] constexpr bool operator()(const Failure& failure) const noexcept {
        return has(failure.cause);
    }

    friend constexpr bool operator==(CauseSet, CauseSet) noexcept = default;

private:
    [[nodiscard]] static constexpr std::uint32_t bit(Cause cause) noexcept {
        return std::uint32_t{1} << (static_cast<std::uint32_t>(cause) & 31U);
    }

    std::uint32_t bits_;
};

// Arguments of which at least one is a status or a code, and no Cause.
template <class... Given>
concept CodesForCauses = ((std::is_arithmetic_v<Given> || std::is_enum_v<Given>)&&...) &&
                         !(std::same_as<Given, Cause> && ...);
template <class... Given>
consteval void explain_causes() {
    static_assert((std::same_as<Given, Cause> && ...),
                  "StopOn: pass causes: StopOn{Cause::permanent, Cause::forbidden}. A status of "
                  "HTTP has the cause http_failure(404).cause");
}

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
