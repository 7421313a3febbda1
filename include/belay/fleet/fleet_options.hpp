// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_options.hpp
/// FleetOptions, ServiceOptions: the options of a Fleet and of each of its services.
/// NetworkSuspect: the notification that all of them failed at once.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/detail/function.hpp>
#include <belay/core/failure.hpp>
#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The details of a failure of all live services of a Fleet at once.
///
/// The suspect is then the local network, not the services.
///
/// Thread safety: a plain value.
struct NetworkSuspect {
    /// When the first service failed.
    Instant since = never;
    /// When the next service dials, as a scout. All others wait for its result.
    Instant retry_at = never;
    /// The number of failures since the last such notification. The first time, that is one of each
    /// service that was live; later, services try one by one.
    std::size_t services = 0;
    /// How many waits for a scout there have been, this one included, since a peer last gave
    /// evidence that the network works.
    std::size_t times = 0;
    /// The failure of the service that failed first.
    Failure failure{};
};

/// The options of a Fleet.
struct FleetOptions {
    /// The maximum number of connections that are being opened. A connection counts from the dial
    /// until it is validated, has failed, or has taken `slow_after`.
    std::size_t dials_max = 8;
    /// The time after which a dial moves to the slow group, so that it delays no other service. If
    /// the group has no place, the dial ends, which is no failure. Its service waits for a place
    /// there. A service whose last dial moved begins there. With `forever` no dial moves.
    Duration slow_after = std::chrono::seconds{2};
    /// The maximum number of dials in the slow group, in addition to `dials_max`.
    std::size_t slow_dials_max = 24;
    /// The minimum time between two dials. Zero means that only `dials_max` limits dialling. It
    /// must not be `forever`.
    Duration dial_gap{0};
    /// The advantage per step of priority. A service is queued as if it had asked to dial that much
    /// earlier for each step of its priority.
    Duration head_start = std::chrono::seconds{5};
    /// How long a failure that the network may have caused is held, to see whether all other
    /// services fail too. Zero passes every failure on at once. It must not be `forever`.
    Duration hold = std::chrono::milliseconds{200};
    /// The minimum number of services that must fail together before the network is suspect.
    std::size_t suspects_min = 3;
    /// While the network is suspect, one service at a time dials, as a scout. This is the wait for
    /// the first scout. It is random: at least half of this, and at most all of it.
    Duration suspect_wait = std::chrono::seconds{1};
    /// The maximum of the wait for the next scout, which doubles each time.
    Duration suspect_wait_max = std::chrono::seconds{8};
    /// The maximum number of these waits without evidence that the network works. After that, each
    /// service's failures are its own again. With the default waits, that is after 66 minutes at
    /// the earliest.
    std::size_t suspect_rounds_max = 1000;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (dials_max < 1 || slow_dials_max < 1) {
            return "FleetOptions: dials_max and slow_dials_max must be > 0";
        }
        if (slow_after.count() <= 0) return "FleetOptions: slow_after must be > 0ns";
        if (dial_gap.count() < 0 || head_start.count() < 0 || hold.count() < 0) {
            return "FleetOptions: dial_gap, head_start and hold must be >= 0ns";
        }
        if (dial_gap == forever || head_start == forever || hold == forever ||
            suspect_wait == forever) {
            return "FleetOptions: dial_gap, head_start, hold and suspect_wait must not be forever, "
                   "or services starve";
        }
        if (suspects_min < 1 || suspect_rounds_max < 1) {
            return "FleetOptions: suspects_min and suspect_rounds_max must be > 0";
        }
        if (suspect_wait.count() <= 1 || suspect_wait > suspect_wait_max) {
            return "FleetOptions: 1ns < suspect_wait <= suspect_wait_max must hold";
        }
        return {};
    }
};

/// The options of one service of a Fleet. They can only be moved, because they may hold a function.
struct ServiceOptions {
    /// The options of the service's supervisor; see SupervisorOptions.
    SupervisorOptions supervisor{};
    /// The priority among services that want to dial: higher ones dial first; see
    /// FleetOptions::head_start.
    std::uint8_t priority = 0;
    /// Returns how much waits to be sent, for FleetStatus: for example the size of a queue of
    /// yours. Only Fleet::status() calls it. It must not change the fleet.
    detail::Function<std::size_t()> queued{};
};

}}  // namespace belay
