// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/redis_room_messages.hpp
/// RedisRoomMessages: the messages that a redis::Rooms has not published yet.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <deque>        // std::deque
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::pair
#include <vector>       // std::vector

#include <belay/adapter/redis_rooms_options.hpp>
#include <belay/core/bytes.hpp>
#include <belay/room/detail/peer_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A message to the servers that are subscribed to a room.
struct RedisRoomMessage {
    std::string id{};
    Bytes bytes{};
};

/// Messages wait here, and not among the calls, so that they delay no call.
///
/// A message about a client replaces the one before in its place, so at most one for each room and
/// client waits. Above `messages_max` or `messages_bytes_max`, the oldest message of the room is
/// dropped. Above `calls_max` or `bytes_max` of all rooms, a new one is. The rooms take turns.
///
/// Complexity:    O(log rooms + log messages of the room).   Throws: std::bad_alloc, in `push` and
///                `take`.
/// Thread safety: none; RedisRoomWorker locks it.
class RedisRoomMessages {
public:
    explicit RedisRoomMessages(const redis::RoomsOptions& options) : options_{options} {}

    void push(std::string_view id, BytesView message) {
        if (count_ >= options_.calls_max || message.size() > options_.messages_bytes_max ||
            message.size() > options_.bytes_max - bytes_)
            return;
        auto found = rooms_.find(id);
        if (found == rooms_.end()) found = rooms_.try_emplace(std::string{id}).first;
        Room& room = found->second;
        if (!room.has_turn) turns_.push_back(found);
        room.has_turn = true;
        const std::optional<std::uint64_t> client = replaced_client(message);
        put(room, {client.has_value(), client ? *client : ++room.others}, message);
        while (room.order.size() > options_.messages_max ||
               room.bytes > options_.messages_bytes_max)
            static_cast<void>(pop(room));
    }
    [[nodiscard]] bool empty() const noexcept { return turns_.empty(); }
    /// Removes and returns the next messages, as many as one round trip should publish.
    [[nodiscard]] std::vector<RedisRoomMessage> take() {
        std::vector<RedisRoomMessage> taken;
        std::size_t bytes = 0;
        while (!turns_.empty() && taken.size() < batch_max && bytes < batch_bytes_max) {
            const auto next = turns_.front();
            turns_.pop_front();
            if (std::optional<Bytes> message = pop(next->second)) {
                bytes += message->size();
                taken.push_back({next->first, std::move(*message)});
            }
            if (next->second.order.empty())
                rooms_.erase(next);
            else
                turns_.push_back(next);
        }
        return taken;
    }
    void clear() noexcept {
        turns_.clear();
        rooms_.clear();
        count_ = bytes_ = 0;
    }

    /// The most messages in a round trip; no further one is added from this many bytes on.
    static constexpr std::size_t batch_max = 256;
    static constexpr std::size_t batch_bytes_max = std::size_t{64} << 10;

private:
    /// Whether the message is about a client, and the client's number, or that of the message.
    using Key = std::pair<bool, std::uint64_t>;
    struct Room {
        std::map<Key, Bytes> waiting{};
        std::deque<Key> order{};
        std::size_t bytes = 0;
        std::uint64_t others = 0;  ///< messages about no client, since the room is here
        bool has_turn = false;
    };
    using Rooms = std::map<std::string, Room, std::less<>>;

    /// Adds a message, or replaces the one with its key in its place. A key whose message could not
    /// be allocated stays in the order, and `pop` skips it.
    void put(Room& room, const Key& key, BytesView message) {
        auto found = room.waiting.find(key);
        if (found == room.waiting.end()) {
            room.order.push_back(key);
            found = room.waiting.try_emplace(key).first;
            ++count_;
        }
        Bytes next{message.begin(), message.end()};
        resize(room, next.size() - found->second.size());
        found->second = std::move(next);
    }
    /// `change` may be negative, modulo 2^64.
    void resize(Room& room, std::size_t change) noexcept {
        room.bytes += change;
        bytes_ += change;
    }
    [[nodiscard]] std::optional<Bytes> pop(Room& room) noexcept {
        if (room.order.empty()) return std::nullopt;
        const auto first = room.waiting.find(room.order.front());
        room.order.pop_front();
        if (first == room.waiting.end()) return std::nullopt;
        Bytes bytes = std::move(first->second);
        room.waiting.erase(first);
        resize(room, std::size_t{0} - bytes.size());
        --count_;
        return bytes;
    }

    const redis::RoomsOptions options_;
    Rooms rooms_{};
    std::deque<Rooms::iterator> turns_{};  ///< the rooms, all of which have messages
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

}}}  // namespace belay::detail
