// SPDX-License-Identifier: MIT
/// \file belay/room/detail/call_queue.hpp
/// CallQueue: the calls that wait for the thread of an OnThread, within its limits. CallShares: how
/// calls count for such limits.
#pragma once

#include <cstddef>      // std::size_t
#include <deque>        // std::deque
#include <functional>   // std::less
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes of a call, or of several calls.
struct CallBytes {
    CallBytes& operator+=(const CallBytes& more) noexcept {
        updates += more.updates;
        snapshots += more.snapshots;
        return *this;
    }
    CallBytes& operator-=(const CallBytes& less) noexcept {
        updates -= less.updates;
        snapshots -= less.snapshots;
        return *this;
    }
    /// Whether there is space in addition to `held`, within `most` of each kind. A call longer than
    /// the limit would be rejected for ever, so it is accepted if `held` has nothing of its kind.
    [[nodiscard]] bool fits(const CallBytes& held, std::size_t most) const noexcept {
        const auto one = [most](std::size_t bytes, std::size_t others) {
            return bytes == 0 || others == 0 || (others <= most && bytes <= most - others);
        };
        return one(updates, held.updates) && one(snapshots, held.snapshots);
    }
    friend bool operator==(const CallBytes&, const CallBytes&) noexcept = default;

    std::size_t updates = 0;
    std::size_t snapshots = 0;
};

/// Whether a call has an answer of its own. A change has none: the next flush reports its error.
enum class CallKind : bool { change, answered };

/// Counts the calls that wait, within the limits of an `Options`: of all rooms, and of each room. A
/// call that is under way does not count as a call, but its bytes count until it is done.
///
/// Complexity:    O(log rooms with calls).   Throws: std::bad_alloc, in `place` only.
/// Thread safety: none; its owner locks it.
template <class Options>
class CallShares {
    /// The calls of a room that wait, those that are under way, and the bytes of all of them.
    struct OfRoom {
        std::size_t calls = 0;
        std::size_t under_way = 0;
        CallBytes bytes{};
    };
    using Rooms = std::map<std::string, OfRoom, std::less<>>;

public:
    /// How a call counts.
    struct Place {
        CallBytes size{};
        typename Rooms::iterator room{};
    };

    explicit CallShares(const Options& options) : options_{options} {}
    CallShares(const CallShares&) = delete;
    CallShares& operator=(const CallShares&) = delete;

    /// Whether the limits allow one more call. An empty `id` is a call for all rooms, which has no
    /// share.
    [[nodiscard]] bool takes(std::string_view id, const CallBytes& size) const noexcept {
        if (calls_ >= options_.calls_max || !size.fits(bytes_, options_.bytes_max)) return false;
        const auto room = rooms_.find(id);
        return id.empty() || room == rooms_.end() ||
               (room->second.calls < options_.calls_per_room_max &&
                size.fits(room->second.bytes, options_.bytes_per_room_max));
    }
    /// Returns how a call will count. Pass it to `enter`.
    [[nodiscard]] Place place(std::string_view id, const CallBytes& size) {
        auto room = rooms_.find(id);
        if (room == rooms_.end()) room = rooms_.emplace(id, OfRoom{}).first;
        return {size, room};
    }
    /// The call waits from now on.
    void enter(const Place& place) noexcept {
        ++calls_;
        ++place.room->second.calls;
        place.room->second.bytes += place.size;
        bytes_ += place.size;
    }
    /// The call is under way.
    void begin(const Place& place) noexcept {
        --calls_;
        --place.room->second.calls;
        ++place.room->second.under_way;
    }
    /// The call, which was under way, has ended.
    void done(const Place& place) noexcept {
        OfRoom& room = place.room->second;
        bytes_ -= place.size;
        room.bytes -= place.size;
        --room.under_way;
        if (room.calls == 0 && room.under_way == 0) rooms_.erase(place.room);
    }
    /// Whether half of a limit is used: of all rooms, or of the room of this call.
    [[nodiscard]] bool half_full(const Place& place) const noexcept {
        const OfRoom& room = place.room->second;
        return is_half(calls_, options_.calls_max) ||
               is_half(room.calls, options_.calls_per_room_max) ||
               is_half(bytes_.updates, options_.bytes_max) ||
               is_half(room.bytes.updates, options_.bytes_per_room_max);
    }
    /// Returns the number of calls that wait.
    [[nodiscard]] std::size_t calls() const noexcept { return calls_; }
    /// Returns the number of rooms with calls that wait or are under way.
    [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }
    /// Returns the bytes of all calls.
    [[nodiscard]] const CallBytes& bytes() const noexcept { return bytes_; }

private:
    [[nodiscard]] static bool is_half(std::size_t used, std::size_t most) noexcept {
        return used >= most - most / 2;
    }

    const Options options_;
    std::size_t calls_ = 0;
    Rooms rooms_{};
    CallBytes bytes_{};
};

/// Calls in their order, within the limits of an OnThreadOptions.
///
/// A change waits for the flush after it, so that both wake the thread once. Many changes, or long
/// ones, do not wait, because the thread processes them while the caller makes others. Nor do
/// changes that use half of a limit, so that the thread makes space for others.
///
/// Complexity:    O(log rooms with calls).   Throws: std::bad_alloc, in `push` only.
/// Thread safety: none; OnThread locks it.
template <class Call, class Options>
class CallQueue {
public:
    using Place = typename CallShares<Options>::Place;
    /// A call that was taken from the queue. When it has ended, pass its place to `done`.
    struct Taken {
        Call call;
        Place place;
    };

    explicit CallQueue(const Options& options) : shares_{options} {}

    /// Whether the limits allow one more call. An empty `id` is a call for all rooms, which has no
    /// share.
    [[nodiscard]] bool takes(std::string_view id, const CallBytes& size) const noexcept {
        return shares_.takes(id, size);
    }
    /// Queues a call.   Returns: whether the thread should be woken for the calls that wait.
    [[nodiscard]] bool push(Call call, std::string_view id, const CallBytes& size, CallKind kind) {
        calls_.push_back({std::move(call), shares_.place(id, size)});
        shares_.enter(calls_.back().place);
        return kind == CallKind::answered || calls_.size() >= waiting_max ||
               shares_.bytes().updates >= waiting_bytes_max ||
               shares_.half_full(calls_.back().place);
    }
    [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
    /// Takes the first call.   Pre: not empty.
    [[nodiscard]] Taken pop() {
        Taken first = std::move(calls_.front());
        calls_.pop_front();
        shares_.begin(first.place);
        return first;
    }
    /// The call that was taken last has ended.
    void done(const Place& place) noexcept { shares_.done(place); }
    /// Returns the number of rooms with calls that wait or are under way.
    [[nodiscard]] std::size_t rooms() const noexcept { return shares_.rooms(); }
    /// Returns the number of calls that wait.
    [[nodiscard]] std::size_t calls() const noexcept { return calls_.size(); }
    /// Returns the bytes of the calls that wait or are under way.
    [[nodiscard]] const CallBytes& bytes() const noexcept { return shares_.bytes(); }

    /// The changes that wait for a flush are fewer than this, and have fewer bytes.
    static constexpr std::size_t waiting_max = 16;
    static constexpr std::size_t waiting_bytes_max = std::size_t{16} << 10;

private:
    std::deque<Taken> calls_{};
    CallShares<Options> shares_;
};

}}}  // namespace belay::detail
