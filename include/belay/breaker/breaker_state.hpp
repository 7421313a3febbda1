// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker_state.hpp
/// BreakerState, BreakerMode, HalfOpenOptions, BreakerSnapshot: the types of the
/// public interface of breakers.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint16_t
#include <string_view>  // std::string_view

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The state of a breaker, which decides what it lets through.
enum class BreakerState : std::uint8_t {
    closed,    ///< everything
    open,      ///< nothing, until the open wait is over
    half_open  ///< a few probes, whose verdicts close or open it again
};

/// Returns the text of an enumerator, "half_open".   Errors: "unknown" for other values.
[[nodiscard]] constexpr std::string_view to_string(BreakerState state) noexcept {
    constexpr std::string_view names[] = {"closed", "open", "half_open"};
    return detail::name_of(state, names);
}

/// The source of decisions on a breaker's state.
enum class BreakerMode : std::uint8_t {
    automatic,    ///< the calls' verdicts decide
    forced_open,  ///< set by a person: nothing is let through
    disabled,     ///< set by a person: everything is let through, nothing is counted
    metrics_only  ///< everything is let through; it counts when it would have opened
};

/// Returns the text of an enumerator, "forced_open".   Errors: "unknown" for other values.
[[nodiscard]] constexpr std::string_view to_string(BreakerMode mode) noexcept {
    constexpr std::string_view names[] = {"automatic", "forced_open", "disabled", "metrics_only"};
    return detail::name_of(mode, names);
}

namespace detail {

/// A change that just happened to a breaker.
enum class BreakerChange : std::uint8_t {
    none,
    opened,       ///< closed, now open
    half_opened,  ///< the first probe has started
    reopened,     ///< the probes failed
    closed,       ///< the probes succeeded
    probe_lost,   ///< probes had no verdict in time; their permits went to another caller
    would_open,   ///< metrics only: it would have opened; it counts afresh
    mode_set      ///< a person set the mode, or restored a snapshot
};

/// Returns the text of an enumerator, "half_opened".   Errors: "unknown" for other values.
[[nodiscard]] constexpr std::string_view to_string(BreakerChange change) noexcept {
    constexpr std::string_view names[] = {"none",   "opened",     "half_opened", "reopened",
                                          "closed", "probe_lost", "would_open",  "mode_set"};
    return detail::name_of(change, names);
}

}  // namespace detail

/// Options for how a half-open breaker finds out whether the peer is well again.
///
/// After at most `successes + failures - 1` verdicts it is closed or open. The number of probes
/// under way never exceeds what could still be needed. That is the larger of two numbers: the
/// successes that would close the breaker, and the failures that would open it. By default, one
/// call decides.
struct HalfOpenOptions {
    /// The most probes that may be under way at a time.   Pre: >= 1.
    std::uint8_t probes = 1;
    /// The number of successful probes that close the breaker.   Pre: >= 1.
    ///
    /// For connections, 1 is right. A connection that succeeds needs no further attempt. So with
    /// more successes than connections that are still to be opened, the breaker stays half-open.
    /// Then the next failures open it, as many as `failures` (by default one), and not those of its
    /// trip.
    std::uint8_t successes = 1;
    /// The number of failed probes that open it again.   Pre: >= 1.
    std::uint8_t failures = 1;
    /// The time after which probes count as lost, if all are under way and the last was given so
    /// long ago. The next caller then gets a permit, and the verdicts of the lost probes are void.
    /// Pre: > 0ns.
    Duration probe_timeout = std::chrono::minutes{5};
};

/// The state of a breaker that survives a restart of the program.
///
/// It holds durations and no instants. It does not hold the counts of a closed breaker. The time
/// between snapshot and restore does not count. If you trust a wall clock, subtract that time from
/// `remaining`.
struct BreakerSnapshot {
    /// Whether the breaker decides, or its operator.
    BreakerMode mode = BreakerMode::automatic;
    /// Whether calls are made.
    BreakerState state = BreakerState::closed;
    /// The number of openings since the breaker was last closed, by which the open wait has grown.
    /// 65535 also means more. A wait that still grows at that number starts a little lower after a
    /// restart.
    std::uint16_t openings = 0;
    /// The rest of the open wait.
    Duration remaining{};

    /// Returns whether these values are valid; those from a file may not be.
    [[nodiscard]] constexpr bool is_valid() const noexcept {
        return mode <= BreakerMode::metrics_only && state <= BreakerState::half_open &&
               remaining.count() >= 0;
    }

    friend constexpr bool operator==(const BreakerSnapshot&,
                                     const BreakerSnapshot&) noexcept = default;
};

namespace detail {

/// The wait after which a rejected caller may ask again if the end is unknown. This is so while
/// probes are under way, or while a person holds the breaker open.
inline constexpr Duration breaker_recheck = std::chrono::seconds{1};

}  // namespace detail

}}  // namespace belay
