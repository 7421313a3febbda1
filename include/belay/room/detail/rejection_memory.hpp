// SPDX-License-Identifier: MIT
/// \file belay/room/detail/rejection_memory.hpp
/// RejectionMemory: remembers who sent a message that would be rejected again.
#pragma once

#include <algorithm>    // std::find_if
#include <chrono>       // std::chrono::minutes
#include <cstddef>      // std::size_t
#include <deque>        // std::deque
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The users whose last message in a room was too large or malformed, for one minute each.
/// The networks of their addresses count, too, because several people may share a user's name.
///
/// A y-websocket client before 3.1 stops at no close code: it connects again, and sends the same
/// state again. Later ones stop only at codes from 4400 on. A user that is remembered is rejected
/// before the server receives the state.
///
/// Memory:        at most `entries_max` entries; above that the oldest one is forgotten.
/// Complexity:    O(entries), of which there are none without such messages.
/// Thread safety: the manager's home thread.
class RejectionMemory {
public:
    static constexpr std::size_t entries_max = 1'024;
    static constexpr Duration remembered = std::chrono::minutes{1};

    /// Remembers a user from now on. A user without a name is not remembered, because it stands for
    /// all others without a name.
    void note(std::string_view user, std::string_view network, std::string_view room, Instant now) {
        if (user.empty() || has(user, network, room, now)) return;
        if (entries_.size() >= entries_max) entries_.pop_front();
        entries_.push_back(
            {std::string{user}, std::string{network}, std::string{room}, after(now, remembered)});
    }
    /// Whether that user must wait. This does not extend the wait.
    [[nodiscard]] bool has(std::string_view user, std::string_view network, std::string_view room,
                           Instant now) noexcept {
        // They are in the order of their ends.
        while (!entries_.empty() && entries_.front().ends <= now) entries_.pop_front();
        return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& one) {
                   return one.user == user && one.network == network && one.room == room;
               }) != entries_.end();
    }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    struct Entry {
        std::string user;
        std::string network;  ///< of its address
        std::string room;
        Instant ends;
    };
    std::deque<Entry> entries_{};
};

}}}  // namespace belay::detail
