// SPDX-License-Identifier: MIT
/// \file belay/queue/queue_counters.hpp
/// QueueCounters: an observer of a Queue that counts.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/queue/queue_observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Counts what a queue does, from the queue's beginning.
///
///     Queue queue{Deque<Task>{}, Reject{}, {.limit = 100}, QueueCounters{}};
///     const QueueCounters before = queue.observer();
///
/// A copy is a snapshot: the difference of two, divided by the time between them, is a rate. Other
/// values have their own sources:
/// - how many values wait now: `queue.size()`;
/// - how many bytes wait, if the storage counts them: `queue.bytes()`;
/// - how long the first value has waited: an OldestAge.
///
/// Thread safety: that of the queue.   Errors: none; no count overflows in practice.
struct QueueCounters {
    /// Values that the queue took.
    std::uint64_t pushed = 0;
    /// Pushes that were rejected.
    std::uint64_t rejected = 0;
    /// Values that the overflow policy dropped: old ones, or the pushed one.
    std::uint64_t dropped = 0;
    /// Values that `pop` returned.
    std::uint64_t popped = 0;
    /// Values that were executed.
    std::uint64_t drained = 0;
    /// Values that a Session delivered, or that an Outbox removed from a journal.
    std::uint64_t released = 0;
    /// Drains that ended with an error, or by an exception.
    std::uint64_t failed = 0;
    /// The most values that waited after a push.
    std::size_t deepest = 0;

    constexpr void on_pushed(std::size_t size) noexcept {
        ++pushed;
        if (size > deepest) deepest = size;
    }
    void on_rejected(const std::error_code&) noexcept { ++rejected; }
    constexpr void on_dropped(const auto&) noexcept { ++dropped; }
    constexpr void on_popped(std::size_t) noexcept { ++popped; }
    void on_drained(const DrainReport& result) noexcept {
        drained += result.drained;
        if (result.error) ++failed;
    }

    constexpr void on_released(std::size_t count, std::size_t) noexcept { released += count; }

    friend constexpr bool operator==(const QueueCounters&, const QueueCounters&) noexcept = default;
};

}}  // namespace belay
