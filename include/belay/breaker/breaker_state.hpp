// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker_state.hpp
/// BreakerState, BreakerMode, BreakerChange, HalfOpenOptions, BreakerSnapshot: the vocabulary of
/// breakers.
#pragma once

#include <cstdint>  // std::uint8_t, std::uint16_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a breaker lets through.
enum class BreakerState : std::uint8_t {
    closed,    ///< everything
    open,      ///< nothing, until the open wait is over
    half_open  ///< a few probes, whose verdicts close or open it again
};

/// Who decides on a breaker's state.
enum class BreakerMode : std::uint8_t {
    automatic,    ///< the calls' verdicts
    forced_open,  ///< a person: nothing goes through
    disabled,     ///< a person: everything goes through, nothing is counted
    metrics_only  ///< nobody: everything goes through; counted is when it would have opened
};

/// What just happened to a breaker.
enum class BreakerChange : std::uint8_t {
    none,
    opened,       ///< closed, now open
    half_opened,  ///< the first probe is on its way
    reopened,     ///< the probes failed
    closed,       ///< the probes worked
    probe_lost,   ///< probes without a verdict had their time; their permits went to another caller
    would_open,   ///< metrics only: it would have opened; it counts afresh
    mode_set      ///< a person set the mode, or restored a snapshot
};

/// The text of an enumerator, "half_opened".   Errors: "unknown" for other values.
[[nodiscard]] constexpr const char* to_string(BreakerChange change) noexcept {
    switch (change) {
        case BreakerChange::none:
            return "none";
        case BreakerChange::opened:
            return "opened";
        case BreakerChange::half_opened:
            return "half_opened";
        case BreakerChange::reopened:
            return "reopened";
        case BreakerChange::closed:
            return "closed";
        case BreakerChange::probe_lost:
            return "probe_lost";
        case BreakerChange::would_open:
            return "would_open";
        case BreakerChange::mode_set:
            return "mode_set";
    }
    return "unknown";
}

/// How a half-open breaker finds out whether the peer is well again.
///
/// After at most `successes + failures - 1` verdicts it is closed or open. No more probes are under
/// way than could still be needed: the larger of the successes that would close it, and the
/// failures that would open it. The default: one call decides.
struct HalfOpenOptions {
    /// So many probes may be under way at a time, at most.   Pre: >= 1.
    std::uint8_t probes = 1;
    /// So many that work close it.   Pre: >= 1.
    std::uint8_t successes = 1;
    /// So many that fail open it again.   Pre: >= 1.
    std::uint8_t failures = 1;
    /// When all probes are out, and the last was given so long ago, they count as lost: the next
    /// caller gets a permit, and from then on their verdicts are void.   Pre: > 0ns.
    Duration probe_timeout = std::chrono::minutes{5};
    /// So long a round of probes may take to decide, from its first one on. Then all that it found
    /// is too old: probes that are out count as lost, and the next caller is the first probe of a
    /// new round. In whole milliseconds of each probe; 49 days or more: no bound.   Pre: > 0ns.
    Duration at_most = forever;
};

/// What survives a restart of the program: durations, no instants. What a closed breaker had
/// counted is not in it.
///
/// The time in between does not count; who trusts a wall clock takes it off `remaining`.
struct BreakerSnapshot {
    BreakerMode mode = BreakerMode::automatic;
    BreakerState state = BreakerState::closed;
    /// How often it has opened since it was closed last: how far the open wait has grown. 65535
    /// also means more; a wait that still grows there starts a little lower after a restart.
    std::uint16_t openings = 0;
    /// What is left of the open wait.
    Duration remaining{};

    /// Whether these values make sense; those of a file may not.
    [[nodiscard]] constexpr bool is_valid() const noexcept {
        return mode <= BreakerMode::metrics_only && state <= BreakerState::half_open &&
               remaining.count() >= 0;
    }

    friend constexpr bool operator==(const BreakerSnapshot&,
                                     const BreakerSnapshot&) noexcept = default;
};

namespace detail {

/// How soon callers ask again that were refused and nobody knows for how long: because probes are
/// out, or a person holds the breaker open.
inline constexpr Duration breaker_recheck = std::chrono::seconds{1};

}  // namespace detail

}}  // namespace belay
