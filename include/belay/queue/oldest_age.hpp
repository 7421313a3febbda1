// SPDX-License-Identifier: MIT
/// \file belay/queue/oldest_age.hpp
/// OldestAge: measures how long the first value of a queue has waited, from samples of the queue.
#pragma once

#include <array>    // std::array
#include <cstdint>  // std::uint64_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Measures how long the oldest value of a first-in, first-out queue has waited.
///
/// It needs no timestamp on any value. Pushing and taking cost nothing, and the queue needs no
/// clock.
///
///     Queue queue{Deque<Task>{}, Reject{}, {}, QueueCounters{}};
///     OldestAge<> oldest;
///     // now and then, once per turn for example:
///     oldest.sample(now, queue.observer().pushed, queue.size());
///     if (oldest.age(now) > 5s) { ... }
///
/// It stores how many values had been pushed at some moments. The oldest of n values is the n-th
/// last that was pushed. It arrived after the last moment at which it was not there yet. So the
/// result is never too low. It is too high by at most the time between two samples. If a value
/// outlives many samples, it is too high by up to 6 / `Marks` of the longest wait. For values that
/// were there at the first sample, only the time since then is known.
///
/// Do not use it for queues in which values overtake others, such as a Priority.
///
/// Thread safety: that of the queue.   Allocates: never; 16 bytes for each mark.
/// Errors:        none.                Complexity: O(Marks) for a sample, O(1) for an age.
template <std::size_t Marks = 32>
class OldestAge {
    static_assert(Marks >= 4, "OldestAge: the number of marks must be >= 4");

public:
    /// Records the state of the queue: how many values were ever pushed, and how many wait.
    ///
    /// Pre: neither `now` nor `pushed` is less than at the last sample.
    constexpr void sample(Instant now, std::uint64_t pushed, std::size_t size) noexcept {
        BELAY_PRECONDITION(
            count_ == 0 || (now >= marks_[count_ - 1].at && pushed >= marks_[count_ - 1].pushed),
            "OldestAge::sample: the time and the count of pushes must not decrease");
        waits_ = size != 0;
        // The first mark at which the oldest value was there already.
        std::size_t there = 0;
        while (there < count_ && size <= pushed - marks_[there].pushed) ++there;
        forget(there == 0 ? 0 : there - 1);
        if (count_ == 0 || elapsed(marks_[count_ - 1].at, now) >= spacing_) add({pushed, now});
    }

    /// Returns how long the oldest value has waited; 0ns if there was none at the last sample.
    [[nodiscard]] constexpr Duration age(Instant now) const noexcept {
        return waits_ ? elapsed(marks_[0].at, now) : Duration::zero();
    }

private:
    struct Mark {
        std::uint64_t pushed = 0;
        Instant at{};
    };

    /// Forgets the first `many` marks.
    constexpr void forget(std::size_t many) noexcept {
        for (std::size_t i = many; i < count_; ++i) marks_[i - many] = marks_[i];
        count_ -= many;
        if (count_ <= Marks / 4) spacing_ /= 2;
    }
    constexpr void add(Mark mark) noexcept {
        if (count_ == Marks) {
            // Fewer marks with larger distances: at most Marks / 2 + 1 of such a distance fit.
            spacing_ = elapsed(marks_[0].at, mark.at) / static_cast<Duration::rep>(Marks / 2);
            count_ = 1;
            for (std::size_t i = 1; i < Marks; ++i) {
                const Duration apart = elapsed(marks_[count_ - 1].at, marks_[i].at);
                if (apart >= spacing_ && apart.count() != 0) marks_[count_++] = marks_[i];
            }
        }
        marks_[count_++] = mark;
    }

    std::array<Mark, Marks> marks_{};  // in order; the first is from before the oldest value
                                       // arrived
    std::size_t count_ = 0;
    Duration spacing_{};  // the least distance of marks
    bool waits_ = false;
};

}}  // namespace belay
