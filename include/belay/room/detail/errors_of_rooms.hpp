// SPDX-License-Identifier: MIT
/// \file belay/room/detail/errors_of_rooms.hpp
/// sort_errors and error_of_room: which error of a flush concerns a room.
#pragma once

#include <algorithm>     // std::lower_bound, std::sort
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::pair
#include <vector>        // std::vector

#include <belay/room/persistence_error.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using ErrorOfRoom = std::pair<std::string, std::error_code>;

/// Whether the error `a` of a room is before `b`. If a storage names a room several times, an error
/// of its change is before the end of its history.
[[nodiscard]] inline bool is_before(const ErrorOfRoom& a, const ErrorOfRoom& b) noexcept {
    if (const int order = a.first.compare(b.first); order != 0) return order < 0;
    const bool a_ended = a.second == RoomErrc::history_reset;
    const bool b_ended = b.second == RoomErrc::history_reset;
    return a_ended != b_ended ? b_ended : a.second.value() < b.second.value();
}
/// Sorts errors by rooms.   Complexity: O(n log n).
inline void sort_errors(std::vector<ErrorOfRoom>& rooms) noexcept {
    std::sort(rooms.begin(), rooms.end(), is_before);
}
/// Returns the first error of one room; none if it is not named.   Complexity: O(log n).
///
/// Pre: `error.rooms` is sorted.
[[nodiscard]] inline PersistenceError error_of_room(const PersistenceError& error,
                                                    std::string_view id) {
    const auto found =
        std::lower_bound(error.rooms.begin(), error.rooms.end(), id,
                         [](const ErrorOfRoom& one, std::string_view i) { return one.first < i; });
    if (found == error.rooms.end() || found->first != id) return {};
    const std::error_code& code = found->second;
    if (code == error.code) return {code, error.where, error.what, error.cure};
    return {code, {}, {}};
}

/// Returns the position or the epoch of a room after a flush; 0 or no_id if it has none.
///
/// Complexity: O(log n).   Pre: `of_rooms` are sorted.
template <class V>
[[nodiscard]] V value_of_room(const std::vector<std::pair<std::string, V>>& of_rooms,
                              std::string_view id) {
    const auto found =
        std::lower_bound(of_rooms.begin(), of_rooms.end(), id,
                         [](const auto& one, std::string_view i) { return one.first < i; });
    return found != of_rooms.end() && found->first == id ? found->second : V{};
}

}}}  // namespace belay::detail
