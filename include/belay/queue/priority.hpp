// SPDX-License-Identifier: MIT
/// \file belay/queue/priority.hpp
/// Priority: lanes of work, the important first. By default no lane starves.
#pragma once

#include <array>     // std::array
#include <concepts>  // std::same_as
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <utility>   // std::forward, std::move

#include <belay/core/order.hpp>
#include <belay/queue/queue.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Priority.
struct PriorityOptions {
    /// How often a lane with a waiting value lets lanes above it go first. After that, it is its
    /// turn. With `no_limit`, it always lets them go first, even if it starves.
    std::size_t in_a_row = 8;
};

/// Combines several storages into one, as lanes of which the first has priority.
///
/// A value goes into the lane that `lane_of(value)` returns; lane 0 is the first. If there is no
/// such lane, it goes into the last one, and `misplaced()` counts it.
///
///     struct ByKind { std::size_t operator()(const Task& t) const noexcept { return t.bulk; } };
///     Queue queue{Priority{std::array{Deque<Task>{100}, Deque<Task>{900}}, ByKind{}}};
///
/// The next value is normally the oldest one of the first lane that has a value. A lane that was
/// passed over `in_a_row` times goes before lane 0 once. It counts the turns of lanes above it
/// since its own last turn, or since a value arrived in the empty lane. Among such lanes, the upper
/// one is first. So while a value is first in lane i, at most `in_a_row` + i - 1 turns go to lanes
/// above it.
///
/// Within a lane, the order is that of its storage. Each lane has its own limit, so a full lane
/// does not block the others. The sum of these limits is `capacity()`, and a push is rejected if
/// its lane is full. Overflow policies of a Queue act at the Queue's limit, not at that of a lane.
/// If a value was leased and given back, or cannot be read, it is first in its lane, but the lane's
/// turn is over. So a lane that fails again and again does not keep the other lanes from their
/// turns.
///
/// Lanes are flushed one by one. So a loss of power may lose the end of one lane, and keep values
/// that were pushed later into another lane.
///
/// Models:        StorageLike; LeasableLike and FlushableLike if the lanes do.
/// Thread safety: distinct objects safe.
/// Errors:        those of the lanes.   Allocates: what the lanes allocate.
/// Complexity:    O(lanes), and that of a lane.
/// Source:        strict priority with a limit on waiting ("aging"), A. Silberschatz et al.,
///                "Operating System Concepts", CPU scheduling.
template <class Storage, std::size_t Lanes, class LaneOf>
class Priority {
    // Not a constraint, because the compiler's message for a failed one would hide the sentence.
    static_assert(explain::storage_like<Storage>());

public:
    using value_type = typename Storage::value_type;

    static_assert(Lanes > 0, "Priority: pass at least one lane");
    static_assert(std::movable<LaneOf>,
                  "Priority: lane_of must be movable; use for example a struct");
    static_assert(
        requires(const LaneOf& lane_of, const value_type& value) {
            { lane_of(value) } noexcept -> std::same_as<std::size_t>;
        }, "Priority: lane_of needs 'operator()(const value_type&) const noexcept -> std::size_t'");

    /// Pre: options.in_a_row > 0.
    explicit Priority(std::array<Storage, Lanes> lanes, LaneOf lane_of = {},
                      PriorityOptions options = {})
        : lanes_{std::move(lanes)}, lane_of_{std::move(lane_of)}, in_a_row_{options.in_a_row} {
        BELAY_OPTION(in_a_row_ > 0, "Priority::Priority: in_a_row must be > 0");
    }

    /// Adds a value at the back of its lane. A value that was not taken is unchanged.
    ///
    /// Throws: what the lane throws, if V is not value_type&&.
    template <class V = value_type>
        requires detail::TakesPush<Storage, V>
    [[nodiscard]] auto try_push(V&& value) noexcept(
        (std::same_as<V, value_type> && detail::TryPushIsNoexcept<Storage>) ||
        noexcept(std::declval<Storage&>().try_push(std::forward<V>(value)))) {
        std::size_t lane = lane_of_(value);
        // A lane may be a field of data that arrived, so a wrong one is no mistake in the program.
        if (lane >= Lanes) {
            lane = Lanes - 1;
            ++misplaced_;
        }
        return lanes_[lane].try_push(std::forward<V>(value));
    }

    /// Takes the value whose turn it is; nothing if there is none.
    ///
    /// It ends a lease: it takes the leased value.
    [[nodiscard]] std::optional<value_type> try_pop() {
        for (;;) {
            const std::size_t lane = next_lane();
            const bool had_some = lanes_[lane].size() != 0;
            // Before the lane's own pop: a lane that cannot give its first value, or throws, has
            // had its turn. Otherwise it would starve the others.
            leased_ = Lanes;
            end_turn(lane);
            std::optional<value_type> value = lanes_[lane].try_pop();
            if (value || !has_emptied_itself(lane, had_some)) return value;
        }
    }

    /// Leases the value whose turn it is, in the way of its lane.
    [[nodiscard]] decltype(auto) front()
        requires LeasableLike<Storage>
    {
        for (;;) {
            // The lease of a value that could not be read has not been ended yet.
            if (leased_ < Lanes && !readable_) end_turn(std::exchange(leased_, Lanes));
            const std::size_t lane = next_lane();
            const bool had_some = lanes_[lane].size() != 0;
            // Also a value that cannot be read, or whose reading throws: `ack` gives it up.
            if (had_some) leased_ = lane;
            readable_ = false;
            decltype(auto) leased = lanes_[lane].front();
            readable_ = static_cast<bool>(leased);
            if (readable_) leased_ = lane;
            if (readable_ || !has_emptied_itself(lane, had_some)) return leased;
        }
    }
    /// Removes the leased value.   Pre: `front` leased a value.
    decltype(auto) ack() noexcept
        requires LeasableLike<Storage>
    {
        BELAY_PRECONDITION(leased_ < Lanes, "Priority::ack: a value must be leased");
        const std::size_t lane = std::exchange(leased_, Lanes);
        end_turn(lane);
        return lanes_[lane].ack();
    }
    /// Gives back the leased value.   Pre: `front` leased a value.
    decltype(auto) nack() noexcept
        requires LeasableLike<Storage>
    {
        BELAY_PRECONDITION(leased_ < Lanes, "Priority::nack: a value must be leased");
        const std::size_t lane = std::exchange(leased_, Lanes);
        end_turn(lane);
        return lanes_[lane].nack();
    }

    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t sum = 0;
        for (const Storage& lane : lanes_) sum += lane.size();
        return sum;
    }
    /// Returns the sum of the lanes' capacities; `no_limit` if one has none.
    [[nodiscard]] std::size_t capacity() const noexcept {
        std::size_t sum = 0;
        for (const Storage& lane : lanes_) sum += detail::smaller(lane.capacity(), no_limit - sum);
        return sum;
    }

    // Optional members of the lanes. They are templates, so that Clang 14 ignores them if the lanes
    // do not have them.

    /// Returns the sum of the lanes' bytes.
    template <class S = Storage>
        requires detail::CountsBytes<S>
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        std::uint64_t sum = 0;
        for (const S& lane : lanes_) {
            const std::uint64_t more = lane.bytes();
            sum += detail::smaller(more, ~std::uint64_t{0} - sum);
        }
        return sum;
    }
    /// Returns the sum of the lanes' segments.
    template <class S = Storage>
        requires detail::FreesSegments<S>
    [[nodiscard]] std::size_t segment_bytes() const noexcept {
        std::size_t sum = 0;
        for (const S& lane : lanes_) sum += lane.segment_bytes();
        return sum;
    }
    /// Calls `commit` of every lane, also after one that fails.
    /// Errors: that of the first that fails.
    template <class S = Storage>
        requires detail::HasStorageCommit<S>
    [[nodiscard]] std::error_code commit() noexcept {
        return each_lane([](S& lane) noexcept { return lane.commit(); });
    }
    /// Calls `flush` of every lane, also after one that fails.
    /// Errors: that of the first that fails.
    template <class S = Storage>
        requires detail::HasFlush<S>
    [[nodiscard]] std::error_code flush() noexcept {
        return each_lane([](S& lane) noexcept { return lane.flush(); });
    }
    /// Returns whether a lane has something to flush.
    template <class S = Storage>
        requires detail::HasUnflushed<S>
    [[nodiscard]] bool unflushed() const noexcept {
        for (const S& lane : lanes_) {
            if (lane.unflushed()) return true;
        }
        return false;
    }

    /// Returns how many pushes went to the last lane because `lane_of` returned no lane; rejected
    /// pushes count, too.
    [[nodiscard]] std::uint64_t misplaced() const noexcept { return misplaced_; }

    /// The number of lanes.
    static constexpr std::size_t lane_count = Lanes;
    /// Returns one lane, for calls to it alone. Do not change its values.   Pre: i < Lanes.
    [[nodiscard]] Storage& lane(std::size_t i) noexcept {
        BELAY_PRECONDITION(i < Lanes, "Priority::lane: the lane must exist");
        return lanes_[i];
    }

private:
    template <class Call>
    [[nodiscard]] std::error_code each_lane(Call call) noexcept {
        std::error_code first;
        for (Storage& lane : lanes_) {
            const std::error_code error = call(lane);
            if (!first) first = error;
        }
        return first;
    }

    /// Returns whether a lane had values, could give none of them, and has none left.
    ///
    /// Such a lane puts aside values that it cannot decode. It is then the turn of another lane.
    [[nodiscard]] bool has_emptied_itself(std::size_t lane, bool had_some) const noexcept {
        return had_some && lanes_[lane].size() == 0;
    }

    /// Returns the lane whose turn it is; 0 if there is nothing.
    [[nodiscard]] std::size_t next_lane() const noexcept {
        if (leased_ < Lanes) return leased_;
        std::size_t first = Lanes;
        for (std::size_t i = 0; i < Lanes; ++i) {
            if (lanes_[i].size() == 0) continue;
            if (passed_[i] >= in_a_row_) return i;
            if (first == Lanes) first = i;
        }
        return first == Lanes ? 0 : first;
    }
    void end_turn(std::size_t lane) noexcept {
        passed_[lane] = 0;
        for (std::size_t i = lane + 1; i < Lanes; ++i) {
            if (lanes_[i].size() != 0 && passed_[i] < in_a_row_) ++passed_[i];
        }
    }

    std::array<Storage, Lanes> lanes_;
    [[no_unique_address]] LaneOf lane_of_;
    std::size_t in_a_row_;
    std::size_t leased_ = Lanes;  // the lane that leases; Lanes if none does
    bool readable_ = true;        // whether its leased value is readable
    std::uint64_t misplaced_ = 0;
    std::array<std::size_t, Lanes> passed_{};
};

}}  // namespace belay
