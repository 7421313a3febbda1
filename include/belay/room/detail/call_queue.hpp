// SPDX-License-Identifier: MIT
/// \file belay/room/detail/call_queue.hpp
/// CallQueue: the calls that wait for the thread of an OnThread, within its limits.
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

    std::size_t updates = 0;
    std::size_t snapshots = 0;
};

/// Whether a call has an answer of its own. A change has none: the next flush reports its error.
enum class CallKind : bool { change, answered };

/// Calls in their order, within the limits of an OnThreadOptions: of all rooms, and of each room. A
/// call that is under way does not count as a call, but its bytes count until it is done.
///
/// A change waits for the flush after it, so that both wake the thread once. Many changes, or long
/// ones, do not wait, because the thread processes them while the caller makes others. Nor do
/// changes that use half of a limit, so that the thread makes space for others.
///
/// Complexity:    O(log rooms with calls).   Throws: std::bad_alloc, in `push` only.
/// Thread safety: none; OnThread locks it.
template <class Call, class Options>
class CallQueue {
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
    /// A call that was taken from the queue. When it has ended, pass its place to `done`.
    struct Taken {
        Call call;
        Place place;
    };

    explicit CallQueue(const Options& options) : options_{options} {}
    CallQueue(const CallQueue&) = delete;
    CallQueue& operator=(const CallQueue&) = delete;

    /// Whether the limits allow one more call. An empty `id` is a call for all rooms, which has no
    /// share.
    [[nodiscard]] bool takes(std::string_view id, const CallBytes& size) const noexcept {
        if (calls_.size() >= options_.calls_max || !size.fits(bytes_, options_.bytes_max))
            return false;
        const auto room = rooms_.find(id);
        return id.empty() || room == rooms_.end() ||
               (room->second.calls < options_.calls_per_room_max &&
                size.fits(room->second.bytes, options_.bytes_per_room_max));
    }
    /// Queues a call.   Returns: whether the thread should be woken for the calls that wait.
    [[nodiscard]] bool push(Call call, std::string_view id, const CallBytes& size, CallKind kind) {
        auto at = rooms_.find(id);
        if (at == rooms_.end()) at = rooms_.emplace(id, OfRoom{}).first;
        calls_.push_back({std::move(call), {size, at}});
        OfRoom& room = at->second;
        ++room.calls;
        room.bytes += size;
        bytes_ += size;
        return kind == CallKind::answered || calls_.size() >= waiting_max ||
               bytes_.updates >= waiting_bytes_max || is_half_full(room);
    }
    [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
    /// Takes the first call, which is under way now.   Pre: not empty.
    [[nodiscard]] Taken pop() {
        Taken first = std::move(calls_.front());
        calls_.pop_front();
        --first.place.room->second.calls;
        ++first.place.room->second.under_way;
        return first;
    }
    /// The call that was taken last has ended.
    void done(const Place& place) noexcept {
        OfRoom& room = place.room->second;
        bytes_ -= place.size;
        room.bytes -= place.size;
        --room.under_way;
        if (room.calls == 0 && room.under_way == 0) rooms_.erase(place.room);
    }
    /// Returns the number of rooms with calls that wait or are under way.
    [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }
    /// Returns the number of calls that wait.
    [[nodiscard]] std::size_t calls() const noexcept { return calls_.size(); }
    /// Returns the bytes of the calls that wait or are under way.
    [[nodiscard]] const CallBytes& bytes() const noexcept { return bytes_; }

    /// The changes that wait for a flush are fewer than this, and have fewer bytes.
    static constexpr std::size_t waiting_max = 16;
    static constexpr std::size_t waiting_bytes_max = std::size_t{16} << 10;

private:
    /// Whether half of a limit is used: of all rooms, or of this one.
    [[nodiscard]] bool is_half_full(const OfRoom& room) const noexcept {
        return is_half(calls_.size(), options_.calls_max) ||
               is_half(room.calls, options_.calls_per_room_max) ||
               is_half(bytes_.updates, options_.bytes_max) ||
               is_half(room.bytes.updates, options_.bytes_per_room_max);
    }
    [[nodiscard]] static bool is_half(std::size_t used, std::size_t most) noexcept {
        return used >= most - most / 2;
    }

    const Options options_;
    std::deque<Taken> calls_{};
    Rooms rooms_{};
    CallBytes bytes_{};
};

}}}  // namespace belay::detail
