// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_tally.hpp
/// RoomTally: the counters of a RoomManager, and those of the rooms that it counts by themselves.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/detail/memory.hpp>
#include <belay/core/instant.hpp>
#include <belay/room/room_stats.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The counters of one room, which frames on their way refer to, too.
struct CountedRoom : Counted {
    RoomCounters::OneRoom counters{};
};

/// The counters of all rooms, and of each room that RoomManager::count_room has named, whether it
/// is in memory or not.
///
/// Thread safety: the manager's home thread.
class RoomTally {
public:
    using Counter = std::uint64_t RoomCounters::*;
    using Histogram = RoomCounters::Histogram RoomCounters::*;

    // ---- the rooms that are counted by themselves -----------------------------------------------

    /// Returns whether the room is counted now. `most` is the maximum number of rooms.
    [[nodiscard]] bool add(std::string_view room_id, std::size_t most) {
        if (rooms_.contains(room_id)) return true;
        if (rooms_.size() >= most) return false;
        rooms_.emplace(room_id, Ref<CountedRoom>::make());
        return true;
    }
    /// Returns whether the room was counted.
    bool remove(std::string_view room_id) {
        const auto found = rooms_.find(room_id);
        if (found == rooms_.end()) return false;
        rooms_.erase(found);
        return true;
    }
    /// Returns null if the room is not counted.
    [[nodiscard]] CountedRoom* find(std::string_view room_id) const noexcept {
        if (rooms_.empty()) return nullptr;
        const auto found = rooms_.find(room_id);
        return found == rooms_.end() ? nullptr : found->second.get();
    }

    // ---- counting -------------------------------------------------------------------------------

    /// Calls `f` with the counters of all rooms, and with those of this room if it is counted.
    template <class F>
    void each(std::string_view room_id, F&& f) {
        f(all);
        if (CountedRoom* const one = find(room_id)) f(static_cast<RoomCounters&>(one->counters));
    }
    void count(std::string_view room_id, Counter what, std::uint64_t more = 1) {
        each(room_id, [&](RoomCounters& c) { c.*what += more; });
    }
    void add_time(std::string_view room_id, Histogram what, Duration time) {
        each(room_id, [&](RoomCounters& c) { (c.*what).add(time); });
    }
    /// Counts a client that is closed without an error of its own.
    void count_close(std::string_view room_id, const std::error_code& why) {
        count_reason(room_id, &RoomCounters::closed, why);
    }
    void count_rejection(std::string_view room_id, const std::error_code& why) {
        count_reason(room_id, &RoomCounters::rejected, why);
    }
    /// Counts an edit that is rejected, although its client stays.
    void count_denial(std::string_view room_id, const std::error_code& why) {
        each(room_id, [&](RoomCounters& c) {
            ++c.denied;
            c.denials.add(why);
        });
    }
    void count_failure(std::string_view room_id, const std::error_code& why) {
        each(room_id, [&](RoomCounters& c) {
            ++c.storage_failures;
            c.failures.add(why);
        });
    }

    RoomCounters all{};

private:
    void count_reason(std::string_view room_id, Counter what, const std::error_code& why) {
        each(room_id, [&](RoomCounters& c) {
            ++(c.*what);
            c.reasons.add(why);
        });
    }

    std::map<std::string, Ref<CountedRoom>, std::less<>> rooms_;
};

}}}  // namespace belay::detail
