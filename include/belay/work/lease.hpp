// SPDX-License-Identifier: MIT
/// \file belay/work/lease.hpp
/// Lease, WorkItem and DeadWork: what a WorkQueue lends, shows, and reports.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Work that is lent until `deadline`, and the right to end the loan.
///
/// A plain value: dropping it does nothing, the loan then ends at its deadline. Once the item was
/// lent again, acknowledged or given back, an older lease is answered `lease_ended`.
///
/// Thread safety: distinct objects safe.
struct Lease {
    std::uint64_t id = 0;
    /// What was pushed; valid until the next call of the queue that is not const. `read(id)` gives
    /// it again.
    BytesView body;
    /// Which delivery of the item this is, from 1 on.
    std::uint32_t delivery = 0;
    Instant deadline{};
    /// When it was pushed, by the wall clock of then; up to 1 ms later.
    WallTime pushed{};

    // For the queue: which loan of which opening this is.
    std::uint32_t slot = 0;
    std::uint32_t opening = 0;
    std::uint64_t token = 0;
};

/// Why an item is not lent any more.
enum class DeathCause : std::uint8_t {
    none = 0,       ///< it lives
    failed = 1,     ///< it was lent as often as it may be, and not acknowledged
    expired = 2,    ///< its time was over before it was done
    unreadable = 3  ///< the log says that the body is damaged
};

/// The name of a cause, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(DeathCause cause) noexcept {
    constexpr std::string_view names[] = {"none", "failed", "expired", "unreadable"};
    const auto i = static_cast<std::size_t>(cause);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// An item as `peek`, `for_each` and `for_each_dead` show it. `body` is valid during the visit.
struct WorkItem {
    /// What it does at the moment.
    enum class State : std::uint8_t {
        ready,    ///< waits to be lent
        delayed,  ///< is not lent before its delay has passed
        leased,   ///< is lent
        dead      ///< is kept as a dead letter
    };

    std::uint64_t id = 0;
    BytesView body;
    State state = State::ready;
    DeathCause cause = DeathCause::none;
    /// How often it was lent.
    std::uint32_t deliveries = 0;
    WallTime pushed{};
};

/// What an observer's `on_dead` and `on_dropped` are given. `body` is valid during the call.
struct DeadWork {
    std::uint64_t id = 0;
    /// Empty if it is unreadable.
    BytesView body;
    DeathCause cause = DeathCause::failed;
    std::uint32_t deliveries = 0;
};

}}  // namespace belay
