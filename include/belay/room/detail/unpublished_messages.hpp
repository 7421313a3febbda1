// SPDX-License-Identifier: MIT
/// \file belay/room/detail/unpublished_messages.hpp
/// UnpublishedMessages: the messages of rooms that a shared storage has not published yet.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <list>         // std::list
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/room/detail/peer_message.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The limits of messages that wait, of a room and of all rooms.
struct MessageLimits {
    std::size_t of_room;
    std::size_t bytes_of_room;
    std::size_t of_all;
    std::size_t bytes_of_all;
};

/// Messages wait here, and not among the calls, so that they delay no call.
///
/// At most one message for each room and client waits. A state replaces the one before in its
/// place. A `left` erases the state, and waits after all others. An older connection may leave
/// after another one has taken its id over, and the state of that one must come first.
///
/// Above the limits of a room, its oldest message is dropped. Above those of all rooms, a new one
/// is. Messages `left` have these limits for
/// themselves, so that none is dropped in favour of a state. The rooms take turns.
///
/// Complexity:    O(log rooms + log messages of the room).   Throws: std::bad_alloc, in `push` and
///                `take`; at most the messages that these would add or take are lost.
/// Thread safety: none; its owner locks it.
class UnpublishedMessages {
    struct Total {
        std::size_t count = 0;
        std::size_t bytes = 0;
    };

public:
    explicit UnpublishedMessages(const MessageLimits& limits) : limits_{limits} {}

    void push(std::string_view id, BytesView message) {
        const std::optional<PeerClient> client = peer_client_of(message);
        const bool left = client && client->left;
        const auto room = rooms_.find(id);
        std::uint64_t number = ++pushed_;
        if (client && room != rooms_.end()) {
            const std::optional<Place> before = erase(room->second, client->client);
            if (before && !before->left && !left) number = before->number;
        }
        if (!fits(message.size(), left)) return static_cast<void>(++dropped_);
        // The steps that may throw come first.
        Queue added;
        added.try_emplace(number, Message{{message.begin(), message.end()}, client});
        Places place;
        if (client) place.try_emplace(client->client, Place{left, number});
        Room& to = room != rooms_.end() ? room->second : add(id);
        to.queues[left].merge(added);
        to.places.merge(place);
        count(to, left, {1, message.size()});
        while (to.queues[left].size() > limits_.of_room || to.bytes[left] > limits_.bytes_of_room) {
            static_cast<void>(pop(to, left));
            ++dropped_;
        }
    }
    [[nodiscard]] const MessageLimits& limits() const noexcept { return limits_; }
    [[nodiscard]] bool empty() const noexcept { return turns_.empty(); }
    /// Returns the messages that wait.
    [[nodiscard]] Total waiting() const noexcept {
        return {all_[0].count + all_[1].count, all_[0].bytes + all_[1].bytes};
    }
    /// Returns how many messages the limits have dropped.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
    /// Removes and returns the next messages, as many as one round trip should publish.
    [[nodiscard]] std::vector<part::PublishedMessage> take() {
        std::vector<part::PublishedMessage> taken;
        std::size_t bytes = 0;
        while (!turns_.empty() && taken.size() < batch_max && bytes < batch_bytes_max) {
            const auto next = turns_.front();
            Room& room = next->second;
            if (!room.empty()) {
                taken.push_back({next->first, {}});
                taken.back().bytes = pop(room, room.is_left_next());
                bytes += taken.back().bytes.size();
            }
            turns_.splice(turns_.end(), turns_, turns_.begin());
            if (!room.empty()) continue;
            turns_.pop_back();
            rooms_.erase(next);
        }
        return taken;
    }
    /// Drops all messages, for a reason other than the limits.
    void clear() noexcept {
        turns_.clear();
        rooms_.clear();
        all_[0] = all_[1] = {};
    }

    /// The most messages in a round trip; no further one is added from this many bytes on.
    static constexpr std::size_t batch_max = 256;
    static constexpr std::size_t batch_bytes_max = std::size_t{64} << 10;

private:
    struct Message {
        Bytes bytes{};
        std::optional<PeerClient> client{};
    };
    using Queue = std::map<std::uint64_t, Message>;  // by number, in the order of publishing
    /// Where the message about a client waits.
    struct Place {
        bool left;
        std::uint64_t number;
    };
    using Places = std::map<std::uint64_t, Place>;
    /// The second of each two is for messages `left`.
    struct Room {
        [[nodiscard]] bool empty() const noexcept { return queues[0].empty() && queues[1].empty(); }
        /// Pre: not empty.
        [[nodiscard]] bool is_left_next() const noexcept {
            if (queues[0].empty() || queues[1].empty()) return queues[0].empty();
            return queues[1].begin()->first < queues[0].begin()->first;
        }

        Queue queues[2]{};
        std::size_t bytes[2]{};
        Places places{};
    };
    using Rooms = std::map<std::string, Room, std::less<>>;

    [[nodiscard]] bool fits(std::size_t bytes, bool left) const noexcept {
        return all_[left].count < limits_.of_all && bytes <= limits_.bytes_of_room &&
               bytes <= limits_.bytes_of_all - all_[left].bytes;
    }
    /// Adds a room, with a turn.
    [[nodiscard]] Room& add(std::string_view id) {
        std::list<Rooms::iterator> turn(1);
        turn.front() = rooms_.try_emplace(std::string{id}).first;
        turns_.splice(turns_.end(), turn);
        return turns_.back()->second;
    }
    /// Erases the message about a client, if one waits.   Returns: where it was.
    std::optional<Place> erase(Room& room, std::uint64_t client) noexcept {
        const auto found = room.places.find(client);
        if (found == room.places.end()) return std::nullopt;
        const Place place = found->second;
        static_cast<void>(extract(room, place.left, room.queues[place.left].find(place.number)));
        return place;
    }
    /// Pre: the queue is not empty.
    [[nodiscard]] Bytes pop(Room& room, bool left) noexcept {
        return extract(room, left, room.queues[left].begin());
    }
    [[nodiscard]] Bytes extract(Room& room, bool left, Queue::iterator message) noexcept {
        Bytes bytes = std::move(message->second.bytes);
        if (message->second.client) room.places.erase(message->second.client->client);
        room.queues[left].erase(message);
        count(room, left, {~std::size_t{0}, std::size_t{0} - bytes.size()});
        return bytes;
    }
    /// The numbers may be negative, modulo 2^64.
    void count(Room& room, bool left, Total change) noexcept {
        room.bytes[left] += change.bytes;
        all_[left].count += change.count;
        all_[left].bytes += change.bytes;
    }

    const MessageLimits limits_;
    Rooms rooms_{};
    std::list<Rooms::iterator> turns_{};  ///< one for each room
    Total all_[2]{};
    std::uint64_t pushed_ = 0;
    std::uint64_t dropped_ = 0;
};

}}}  // namespace belay::detail
