// SPDX-License-Identifier: MIT
/// \file belay/work/lease.hpp
/// Lease, DeathCause, WorkItem, DeadWork: what a WorkQueue leases, shows, and reports.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/text.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A leased work item, and the right to end the lease.
///
/// It is a plain value, and dropping it has no effect. After its deadline the item may be leased
/// again. Until that happens, ack, nack, release and extend still work. After the item is leased
/// again, acknowledged or returned, they return `lease_ended` for the older lease.
///
/// Thread safety: distinct objects safe.
struct Lease {
    /// The number of the item.
    std::uint64_t id = 0;
    /// The body that was pushed, valid until the next call of the queue that is not const.
    /// `read(id)` returns it again.
    BytesView body{};
    /// The number of this delivery of the item, from 1 on. After `release`, the next delivery has
    /// the same number.
    std::uint32_t delivery = 0;
    /// From this time on, the item may be leased again. It is not the end of the lease: this lease
    /// works until the item is leased again, acknowledged, returned or dead.
    Instant deadline{};
    /// The time of the push by the wall clock at that time; up to 1 ms later.
    WallTime pushed{};

    // For the queue: identifies the lease and the opening.
    /// The place of the item in memory.
    std::uint32_t slot = 0;
    /// The opening of the queue in which it was leased.
    std::uint32_t opening = 0;
    /// Differs for each lease, so that an old one is known as such.
    std::uint64_t token = 0;
};

/// The reason why an item is not leased any more.
enum class DeathCause : std::uint8_t {
    none = 0,       ///< the item is not dead
    failed = 1,     ///< it was leased as often as allowed, and not acknowledged
    expired = 2,    ///< it expired before it was done
    unreadable = 3  ///< its body is damaged, or the medium cannot read it
};

/// Returns the name of a cause, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(DeathCause cause) noexcept {
    constexpr std::string_view names[] = {"none", "failed", "expired", "unreadable"};
    return detail::name_of(cause, names);
}

/// An item as `peek`, `for_each` and `for_each_dead` show it. `body` is valid during the visit.
struct WorkItem {
    /// The current state of an item.
    enum class State : std::uint8_t {
        ready,    ///< waits to be leased
        delayed,  ///< is not leased before its delay has passed
        leased,   ///< is leased
        dead      ///< is kept as a dead letter
    };

    /// The number of the item.
    std::uint64_t id = 0;
    /// The bytes of the item.
    BytesView body{};
    /// Where it is now.
    State state = State::ready;
    /// Why it is dead.
    DeathCause cause = DeathCause::none;
    /// How often it was leased.
    std::uint32_t deliveries = 0;
    /// When it was pushed, by the wall clock.
    WallTime pushed{};
};

/// An item that an observer's `on_dead` or `on_dropped` receives. `body` is valid during the call.
struct DeadWork {
    /// The number of the item.
    std::uint64_t id = 0;
    /// Empty if the item is unreadable.
    BytesView body{};
    /// Why it was given up.
    DeathCause cause = DeathCause::failed;
    /// How often it was leased.
    std::uint32_t deliveries = 0;
};

/// Returns the name of a state, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(WorkItem::State state) noexcept {
    constexpr std::string_view names[] = {"ready", "delayed", "leased", "dead"};
    return detail::name_of(state, names);
}

/// Returns an item as pairs, without its body: "id=7 state=leased deliveries=2 bytes=12
/// pushed=2026-11-23T03:05:00Z".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const WorkItem& item) {
    detail::Fields fields;
    fields.add("id", item.id).add("state", to_string(item.state));
    if (item.cause != DeathCause::none) fields.add("cause", to_string(item.cause));
    return fields.add("deliveries", item.deliveries)
        .add("bytes", item.body.size())
        .add("pushed", to_string(item.pushed))
        .take();
}

/// Returns a dead letter as pairs, without its body: "id=7 cause=failed deliveries=3 bytes=12".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const DeadWork& dead) {
    return detail::Fields{}
        .add("id", dead.id)
        .add("cause", to_string(dead.cause))
        .add("deliveries", dead.deliveries)
        .add("bytes", dead.body.size())
        .take();
}

namespace detail {

template <IsOneOf<WorkItem::State, WorkItem, DeathCause, DeadWork> T>
inline constexpr bool has_text<T> = true;

}  // namespace detail

}}  // namespace belay
