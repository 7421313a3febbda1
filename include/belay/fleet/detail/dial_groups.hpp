// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/dial_groups.hpp
/// DialGroups: the services that wait to dial and those that dial, in a fast and a slow group.
#pragma once

#include <chrono>   // std::chrono::minutes
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/fleet/detail/service_entry.hpp>
#include <belay/fleet/fleet_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A limited number of dials, and the services that wait for one of them.
///
/// Thread safety: the fleet's home thread.
struct DialGroup {
    [[nodiscard]] bool has_place() const noexcept { return dialling.size() < dials_max; }
    [[nodiscard]] bool can_dial() const noexcept { return !queue.empty() && has_place(); }
    /// Returns whether the dials and the services that wait take all places.
    [[nodiscard]] bool is_taken() const noexcept {
        return dialling.size() + queue.size() >= dials_max;
    }

    std::size_t dials_max;
    DialQueue queue{};
    ServiceList dialling{};  ///< in the order in which they entered this group
};

/// Keeps dials that hang from delaying the others: a dial that has taken FleetOptions::slow_after
/// leaves the fast group.
///
/// Thread safety: the fleet's home thread.   Complexity: O(log n).
struct DialGroups {
    explicit DialGroups(const FleetOptions& options) noexcept
        : fast{options.dials_max}, slow{options.slow_dials_max} {}

    /// Queues a service in the group of its last dial.   Throws: std::bad_alloc.
    void enqueue(ServiceEntry& entry, const FleetOptions& options) {
        // A command or a scout must find out soon whether a dial succeeds now. So must a service
        // that was connected and has lost its connection.
        const bool lost = entry.was_connected && !entry.awaits_place;
        const bool needs_dial = entry.passes || (lost && slow.is_taken());
        entry.is_slow = entry.is_slow && !needs_dial;
        // Priority is a head start and not an absolute rank, so a waiting service eventually
        // precedes all services that ask later.
        const auto steps = static_cast<std::uint64_t>(entry.priority);
        const Duration ahead =
            part::saturating_add(part::saturating_multiply(options.head_start, steps),
                                 entry.was_connected ? lost_head_start : Duration::zero());
        entry.at = entry.is_scout ? always : before(entry.asked_at, ahead);
        of(entry).queue.push(entry);
        count_queued(entry, 1);
        entry.phase = ServicePhase::queued;
    }
    /// Returns the group in which the next dial may begin; null if there is none.
    [[nodiscard]] DialGroup* next() noexcept {
        if (queued == 0) return nullptr;
        if (!slow.can_dial()) return fast.can_dial() ? &fast : nullptr;
        if (!fast.can_dial()) return &slow;
        return slow.queue.front().at < fast.queue.front().at ? &slow : &fast;
    }
    /// Lets a service of this group's queue dial.
    void begin(DialGroup& group, ServiceEntry& entry, Instant now) noexcept {
        group.queue.remove(entry);
        count_queued(entry, -1);
        entry.was_dialled = true;
        entry.phase = ServicePhase::dialling;
        entry.passes = entry.is_scout = entry.awaits_place = false;
        entry.at = now;
        group.dialling.push(entry);
    }
    /// Moves the dials that have taken `slow_after` to the slow group, while it has places.
    /// Returns: the first for which there is none, and which must end; null if there is no such.
    [[nodiscard]] ServiceEntry* move_slow(Instant now, Duration slow_after) noexcept {
        while (ServiceEntry* const entry = fast.dialling.front()) {
            if (after(entry->at, slow_after) > now) break;
            if (slow.is_taken()) return entry;
            fast.dialling.remove(*entry);
            entry->is_slow = true;
            slow.dialling.push(*entry);
        }
        return nullptr;
    }
    /// Pre: it is queued or dialling.
    void leave(ServiceEntry& entry) noexcept {
        if (entry.phase == ServicePhase::queued) {
            of(entry).queue.remove(entry);
            count_queued(entry, -1);
        } else {
            of(entry).dialling.remove(entry);
        }
    }
    /// Returns when something is due here, except for a scout.
    [[nodiscard]] Instant deadline(Instant next_dial, Duration slow_after) const noexcept {
        const ServiceEntry* const oldest = fast.dialling.front();
        const Instant moves = oldest != nullptr ? after(oldest->at, slow_after) : never;
        if (queued == 0) return moves;
        return fast.can_dial() || slow.can_dial() ? smaller(moves, next_dial) : moves;
    }
    /// Returns a dial that began before the others, or about then; null if none is under way.
    [[nodiscard]] ServiceEntry* oldest() const noexcept {
        return slow.dialling.front() != nullptr ? slow.dialling.front() : fast.dialling.front();
    }
    /// Returns the oldest slow dial of a service that was connected; null if there is none.
    [[nodiscard]] ServiceEntry* oldest_of_connected() const noexcept {
        ServiceEntry* entry = slow.dialling.front();
        while (entry != nullptr && !entry->was_connected) entry = entry->next;
        return entry;
    }

    DialGroup fast;
    DialGroup slow;
    std::size_t queued = 0;      ///< in both groups
    std::size_t queued_new = 0;  ///< of these: those that were never dialled

private:
    /// Services that have lost a connection precede those that were never connected, or whose dials
    /// fail. A bounded time, so that no service starves.
    static constexpr Duration lost_head_start = std::chrono::minutes{10};

    void count_queued(const ServiceEntry& entry, int by) noexcept {
        queued += static_cast<std::size_t>(by);
        if (!entry.was_dialled) queued_new += static_cast<std::size_t>(by);
    }
    [[nodiscard]] DialGroup& of(const ServiceEntry& entry) noexcept {
        return entry.is_slow ? slow : fast;
    }
};

}}}  // namespace belay::detail
