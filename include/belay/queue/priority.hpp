// SPDX-License-Identifier: MIT
/// \file belay/queue/priority.hpp
/// Priority: lanes of work, the important first, and none of them forever last.
#pragma once

#include <array>     // std::array
#include <concepts>  // std::same_as
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <utility>   // std::forward, std::move

#include <belay/core/order.hpp>
#include <belay/queue/queue.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a Priority shares.
struct PriorityOptions {
    /// How many turns of lanes above it a lane lets pass while it has a value waiting; then it is
    /// its turn. `no_limit`: all of them, also if it starves.
    std::size_t in_a_row = 8;
};

/// Several storages as one: a value goes into the lane that `lane_of(value)` names, lane 0 first.
///
///     struct ByKind { std::size_t operator()(const Task& t) const noexcept { return t.bulk; } };
///     Queue queue{Priority{std::array{Deque<Task>{100}, Deque<Task>{900}}, ByKind{}}};
///
/// Taken is the oldest value of the first lane that has one; but a lane that has let `in_a_row`
/// turns of lanes above it pass, since its own last one or since a value came into the empty lane,
/// goes before lane 0, and the upper before the lower of such lanes. So while a value is first in
/// lane i, at most `in_a_row` + i - 1 turns go to lanes above it.
///
/// Within a lane the order is that of its storage. Each lane has its own bound, so that one that is
/// full keeps nothing out of the others: `capacity()` is their sum, and a push is refused when its
/// lane is full. Overflow policies of a Queue act at the Queue's limit, not at that of a lane.
/// What was lent and given back, and what cannot be read, is first in its lane, whose turn is over:
/// a lane that fails again and again keeps no other from its own.
///
/// What is flushed is so lane by lane: a loss of power may take the end of one lane, and leave what
/// was pushed later into another.
///
/// Models:        StorageLike; LeasableLike and FlushableLike if the lanes do.
/// Thread safety: distinct objects safe.
/// Errors:        those of the lanes.   Allocates: what the lanes do.
/// Complexity:    O(lanes), and that of a lane.
/// Source:        strict priority with a bound on waiting ("aging"), A. Silberschatz et al.,
///                "Operating System Concepts", CPU scheduling.
template <class Storage, std::size_t Lanes, class LaneOf>
class Priority {
    // No constraint: the compilers' words for a failed one would hide the sentence.
    static_assert(explain::storage_like<Storage>());

public:
    using value_type = typename Storage::value_type;

    static_assert(Lanes > 0, "Priority: there must be a lane");
    static_assert(std::movable<LaneOf>, "Priority: lane_of must be movable, a struct for example");
    static_assert(
        requires(const LaneOf& lane_of, const value_type& value) {
            { lane_of(value) } noexcept -> std::same_as<std::size_t>;
        }, "Priority: lane_of needs 'operator()(const value_type&) const noexcept -> std::size_t'");

    /// Pre: options.in_a_row > 0.
    explicit Priority(std::array<Storage, Lanes> lanes, LaneOf lane_of = {},
                      PriorityOptions options = {})
        : lanes_{std::move(lanes)}, lane_of_{std::move(lane_of)}, in_a_row_{options.in_a_row} {
        BELAY_PRECONDITION(in_a_row_ > 0, "Priority::Priority: in_a_row must be > 0");
    }

    /// Adds a value at the back of its lane. What was not taken is left as it was.
    ///
    /// Pre: lane_of(value) < Lanes.   Throws: what the lane throws, if V is not value_type&&.
    template <class V = value_type>
        requires detail::TakesPush<Storage, V>
    [[nodiscard]] auto try_push(V&& value) noexcept(
        noexcept(std::declval<Storage&>().try_push(std::forward<V>(value)))) {
        const std::size_t lane = lane_of_(value);
        BELAY_PRECONDITION(lane < Lanes, "Priority::try_push: lane_of must name a lane");
        return lanes_[lane].try_push(std::forward<V>(value));
    }

    /// Takes the value whose turn it is; nothing if there is none. Ends a loan: takes what was
    /// lent.
    [[nodiscard]] std::optional<value_type> try_pop() {
        for (;;) {
            const std::size_t lane = next_lane();
            const bool had_some = lanes_[lane].size() != 0;
            // Before the lane is asked: one that cannot give its first value, or throws, has had
            // its turn, or it would starve the others.
            lent_ = Lanes;
            end_turn(lane);
            std::optional<value_type> value = lanes_[lane].try_pop();
            if (value || !has_emptied_itself(lane, had_some)) return value;
        }
    }

    /// Lends the value whose turn it is, as its lane does.
    [[nodiscard]] decltype(auto) front()
        requires LeasableLike<Storage>
    {
        for (;;) {
            // Of a value that could not be read nobody has ended the loan.
            if (lent_ < Lanes && !readable_) end_turn(std::exchange(lent_, Lanes));
            const std::size_t lane = next_lane();
            const bool had_some = lanes_[lane].size() != 0;
            // Also a value that cannot be read, or whose reading throws: `ack` gives it up.
            if (had_some) lent_ = lane;
            readable_ = false;
            decltype(auto) lent = lanes_[lane].front();
            readable_ = static_cast<bool>(lent);
            if (readable_) lent_ = lane;
            if (readable_ || !has_emptied_itself(lane, had_some)) return lent;
        }
    }
    /// Removes what was lent.   Pre: `front` lent something.
    decltype(auto) ack() noexcept
        requires LeasableLike<Storage>
    {
        BELAY_PRECONDITION(lent_ < Lanes, "Priority::ack: there must be a loan");
        const std::size_t lane = std::exchange(lent_, Lanes);
        end_turn(lane);
        return lanes_[lane].ack();
    }
    /// Gives back what was lent.   Pre: `front` lent something.
    decltype(auto) nack() noexcept
        requires LeasableLike<Storage>
    {
        BELAY_PRECONDITION(lent_ < Lanes, "Priority::nack: there must be a loan");
        const std::size_t lane = std::exchange(lent_, Lanes);
        end_turn(lane);
        return lanes_[lane].nack();
    }

    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t sum = 0;
        for (const Storage& lane : lanes_) sum += lane.size();
        return sum;
    }
    /// The sum of the lanes' capacities; `no_limit` if one has none.
    [[nodiscard]] std::size_t capacity() const noexcept {
        std::size_t sum = 0;
        for (const Storage& lane : lanes_) sum += detail::smaller(lane.capacity(), no_limit - sum);
        return sum;
    }

    // What the lanes may have beside; templates, so that Clang 14 leaves them alone where they have
    // not.

    /// The sum of the lanes' bytes.
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
    /// `commit` of every lane, also behind one that fails.   Errors: that of the first that fails.
    template <class S = Storage>
        requires detail::HasStorageCommit<S>
    [[nodiscard]] std::error_code commit() noexcept {
        return each_lane([](S& lane) noexcept { return lane.commit(); });
    }
    /// `flush` of every lane, also behind one that fails.   Errors: that of the first that fails.
    template <class S = Storage>
        requires detail::HasFlush<S>
    [[nodiscard]] std::error_code flush() noexcept {
        return each_lane([](S& lane) noexcept { return lane.flush(); });
    }
    /// Whether a lane has something to flush.
    template <class S = Storage>
        requires detail::HasUnflushed<S>
    [[nodiscard]] bool unflushed() const noexcept {
        for (const S& lane : lanes_) {
            if (lane.unflushed()) return true;
        }
        return false;
    }

    static constexpr std::size_t lane_count = Lanes;
    /// For what is asked of one lane. Its values are not for others to change.   Pre: i < Lanes.
    [[nodiscard]] Storage& lane(std::size_t i) noexcept {
        BELAY_PRECONDITION(i < Lanes, "Priority::lane: there must be such a lane");
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

    /// Whether a lane had values, none of which it could give, and has none left: as one that puts
    /// aside what it cannot decode. Then it is another's turn.
    [[nodiscard]] bool has_emptied_itself(std::size_t lane, bool had_some) const noexcept {
        return had_some && lanes_[lane].size() == 0;
    }

    /// Whose turn it is; 0 if there is nothing.
    [[nodiscard]] std::size_t next_lane() const noexcept {
        if (lent_ < Lanes) return lent_;
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
    std::size_t lent_ = Lanes;  // the lane that lends; Lanes if none does
    bool readable_ = true;      // what it lends
    std::array<std::size_t, Lanes> passed_{};
};

}}  // namespace belay
