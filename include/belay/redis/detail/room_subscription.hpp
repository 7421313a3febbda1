// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_subscription.hpp
/// RedisRoomSubscription: the connections of a redis::Rooms that wait for changes and messages.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <iterator>     // std::next
#include <map>          // std::map
#include <memory>       // std::shared_ptr
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/posix/poller.hpp>
#include <belay/redis/detail/room_link.hpp>
#include <belay/redis/detail/room_scripts.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection in the subscriber mode of Redis receives which rooms have changed, and the
/// published messages. A second one reads the changes, and publishes messages.
///
/// A room is read after its subscription is confirmed, so that nothing is missed in between. When a
/// connection is lost, the rooms are read again later.
///
/// Thread safety: one thread, except for `wake`, which any thread may call.
class RedisRoomSubscription {
public:
    RedisRoomSubscription(const redis::RoomsOptions& options,
                          std::shared_ptr<RedisRoomsShared> shared)
        : options_{options}, shared_{std::move(shared)}, link_{options, shared_, false} {
        notified_.connection.use(options.connection(), true);
    }

    [[nodiscard]] part::ReadRooms wait(const part::RoomReaders& readers,
                                       const std::set<std::string>& changed, Duration limit) {
        const Instant until = after(SteadyClock{}.now(), limit);
        take_readers(readers, changed);
        for (;;) {
            Found found;
            bool more = false;
            PersistenceError error = std::exchange(unreadable_, {});
            if (!error) error = turn(readers, found, more);
            if (!error && found.empty()) error = std::exchange(unreadable_, {});
            const Instant now = SteadyClock{}.now();
            const bool ends = wakeup_.take() || now >= until;
            if (error || !found.empty() || ends) {
                note_answers(readers, found, error);
                if (error) return error;
                return found;
            }
            const Instant next = rooms_.subs.empty() ? until : smaller(until, mark_.compares_at);
            if (!more) wakeup_.wait(notified_.connection.descriptor(), elapsed(now, next));
        }
    }
    /// Publishes messages in one round trip. A message is delivered soon or not at all. The status
    /// counts each message that Redis rejected or did not answer.
    void publish(const std::vector<part::PublishedMessage>& messages) {
        std::string commands;
        for (const part::PublishedMessage& message : messages) {
            const RedisRoomKeys keys{options_.prefix, message.id};
            std::string payload{'m'};
            payload += as_text(message.bytes);
            RedisConnection::append_command(commands, {"PUBLISH", keys.channel, payload});
        }
        std::size_t lost = messages.size();
        if (!link_.ask_all(commands, messages.size(), [&](const redisReply& reply) noexcept {
                if (reply.type != REDIS_REPLY_ERROR) --lost;
            }))
            return;
        shared_->health.change([&](redis::RoomsStatus& status) { status.messages_lost += lost; });
    }
    void wake() noexcept { wakeup_.signal(); }

private:
    using Found = std::map<std::string, part::FanoutBatch>;
    using State = part::FanoutBatch::State;
    struct Sub {
        std::string channel{};
        Id epoch{};
        std::uint64_t from = 0;
        bool asked = false;
        bool confirmed = false;
    };
    using Subs = std::map<std::string, Sub, std::less<>>;

    // ---- readers -------------------------------------------------------------------------------

    /// Notes new rooms and other positions, which are in `changed`, and rooms that are left.
    void take_readers(const part::RoomReaders& readers, const std::set<std::string>& changed) {
        for (const std::string& id : changed) {
            const auto reader = readers.find(id);
            if (reader == readers.end()) continue;
            Sub& sub = rooms_.subs[id];
            if (sub.channel.empty()) {
                sub.channel = RedisRoomKeys{options_.prefix, id}.channel;
                rooms_.by_channel.emplace(sub.channel, id);
            }
            if (reader->second.waits) shared_->logs.answered(id, false);
            if (sub.from == reader->second.from && sub.epoch == reader->second.epoch) continue;
            sub.from = reader->second.from;
            sub.epoch = reader->second.epoch;
            rooms_.changed.insert(id);
        }
        rooms_.changed.merge(shared_->logs.take_suspects());
        if (rooms_.subs.size() != readers.size()) leave_rooms(readers);
        shared_->health.change(
            [this](redis::RoomsStatus& status) { status.subscriptions = rooms_.subs.size(); });
    }
    void leave_rooms(const part::RoomReaders& readers) {
        for (auto it = rooms_.subs.begin(); it != rooms_.subs.end();) {
            if (readers.contains(it->first)) {
                ++it;
                continue;
            }
            // The result does not matter: the next reply that is expected reveals a lost
            // connection.
            if (it->second.asked && notified_.connection.descriptor() >= 0)
                static_cast<void>(notified_.connection.post({"UNSUBSCRIBE", it->second.channel}));
            rooms_.by_channel.erase(it->second.channel);
            rooms_.changed.erase(it->first);
            shared_->logs.unsubscribed(it->first);
            it = rooms_.subs.erase(it);
        }
    }
    /// Until they wait again, this server has the rooms that are answered.
    void note_answers(const part::RoomReaders& readers, const Found& found,
                      const PersistenceError& error) {
        const auto fails = [&](const std::string& id) {
            return error && (error.rooms.empty() || error.rooms.front().first == id);
        };
        for (const auto& [id, reader] : readers)
            if (reader.waits && (found.contains(id) || fails(id))) shared_->logs.answered(id, true);
    }

    // ---- a turn --------------------------------------------------------------------------------

    /// Sets `more` if there is more to do at once.
    [[nodiscard]] PersistenceError turn(const part::RoomReaders& readers, Found& found,
                                        bool& more) {
        const RedisRoomsHealth::Outage outage = shared_->health.outage();
        const bool anew = std::exchange(outages_, outage.number) != outage.number;
        const bool is_down = !rooms_.subs.empty() && (anew || outage.lasts());
        if (is_down || rooms_.subs.empty()) {
            close();
            return is_down ? outage.why : PersistenceError{};
        }
        PersistenceError error = subscribe_all();
        if (!error) error = receive(found, more);
        if (!error) error = watch();
        if (error) {
            link_.went_down(error);
        } else {
            error = compare();
            if (!error) error = read_some(readers, found, more);
        }
        if (!error) return {};
        outages_ = shared_->health.outage().number;
        close();
        return error;
    }
    void close() {
        notified_.connection.close();
        notified_.expects = false;
        for (auto& [id, sub] : rooms_.subs) sub.asked = sub.confirmed = false;
    }
    [[nodiscard]] PersistenceError failed(const std::error_code& code) const {
        return link_.explain(code, notified_.connection.last_words());
    }
    [[nodiscard]] PersistenceError subscribe_all() {
        // A connection that was lost while it unsubscribed has lost all subscriptions.
        if (notified_.connection.descriptor() < 0) close();
        for (auto& [id, sub] : rooms_.subs) {
            if (sub.asked) continue;
            if (const std::error_code e = notified_.connection.post({"SUBSCRIBE", sub.channel}))
                return failed(e);
            sub.asked = true;
            expect();
        }
        return {};
    }
    void expect() {
        if (!notified_.expects)
            notified_.expects_until = after(SteadyClock{}.now(), options_.command_timeout);
        notified_.expects = true;
    }
    [[nodiscard]] PersistenceError receive(Found& found, bool& more) {
        RedisReply reply;
        for (int i = 0; i < messages_per_turn; ++i) {
            if (const std::error_code e = notified_.connection.next_message(reply))
                return failed(e);
            if (!reply) return {};
            notified_.expects = false;
            notified_.received_at = SteadyClock{}.now();
            if (reply->type == REDIS_REPLY_ERROR) {
                const std::string words{reply_text(reply.get())};
                const std::error_code code = code_of_redis(words);
                // A PING may be answered so. It shows that Redis is alive, reads and publishes.
                if (code == redis::Errc::cannot_persist) continue;
                return link_.explain(code, words.c_str());
            }
            take(*reply, found);
        }
        more = true;
        return {};
    }
    void take(const redisReply& reply, Found& found) {
        const std::string_view kind = reply_text(reply_at(&reply, 0));
        const auto channel = rooms_.by_channel.find(reply_text(reply_at(&reply, 1)));
        if (channel == rooms_.by_channel.end()) return;
        const std::string& id = channel->second;
        if (kind == "subscribe") {
            rooms_.subs.find(id)->second.confirmed = true;
            rooms_.changed.insert(id);
        }
        if (kind != "message") return;
        const std::string_view payload = reply_text(reply_at(&reply, 2));
        if (payload == "e") rooms_.changed.insert(id);
        if (payload.starts_with('m')) found[id].messages.push_back(to_bytes(payload.substr(1)));
    }
    /// Detects a Redis that does not respond and does not close the connection, because it is
    /// frozen or the network is broken.
    [[nodiscard]] PersistenceError watch() {
        const Instant now = SteadyClock{}.now();
        if (notified_.expects && now >= notified_.expects_until)
            return link_.explain(make_error_code(redis::Errc::no_answer), "");
        if (notified_.expects || elapsed(notified_.received_at, now) < options_.command_timeout)
            return {};
        if (const std::error_code e = notified_.connection.post({"PING"})) return failed(e);
        expect();
        return {};
    }
    /// Detects that Redis was emptied, which it does not report, however many messages arrive. The
    /// mark must be known before a room is read for the first time, or Redis could be emptied in
    /// between.
    [[nodiscard]] PersistenceError compare() {
        const Instant now = SteadyClock{}.now();
        if (now < mark_.compares_at) return {};
        mark_.compares_at = after(now, options_.command_timeout);
        RedisReply reply;
        PersistenceError error = link_.ask(
            {"EVAL", redis_room_mark, "1", options_.prefix + ":store", redis_fresh_digits(bits_)},
            reply);
        if (error && link_.is_down()) return error;
        const std::string_view found = reply_text(reply.get());
        if (!error && mark_.value == found) return {};
        if (!error) mark_.value = found;
        for (const auto& [id, sub] : rooms_.subs) rooms_.changed.insert(id);
        return {};
    }

    // ---- rooms ---------------------------------------------------------------------------------

    /// Reads changed rooms in turn. Each is a round trip, and messages may wait.
    [[nodiscard]] PersistenceError read_some(const part::RoomReaders& readers, Found& found,
                                             bool& more) {
        int reads = 0;
        auto next = rooms_.changed.lower_bound(rooms_.next);
        for (std::size_t left = rooms_.changed.size(); left != 0; --left) {
            if (next == rooms_.changed.end()) next = rooms_.changed.begin();
            const std::string& id = *next;
            const auto reader = readers.find(id);
            const auto sub = rooms_.subs.find(id);
            // A room that was loaded may have no subscription.
            bool again = sub != rooms_.subs.end() && reader != readers.end();
            if (again && reader->second.waits && sub->second.confirmed) {
                if (++reads > reads_per_turn) {
                    rooms_.next = id;
                    more = true;
                    return {};
                }
                if (PersistenceError e = read(id, reader->second, found, again)) return e;
            }
            next = again ? std::next(next) : rooms_.changed.erase(next);
        }
        return {};
    }
    /// Reads a room. Clears `again` if nothing is there. An error that concerns only the room is
    /// reported when there is nothing else to report.
    [[nodiscard]] PersistenceError read(const std::string& id, const part::RoomReader& reader,
                                        Found& found, bool& again) {
        Result<part::FanoutBatch, PersistenceError> batch = batch_after(id, reader);
        if (!batch && link_.is_down()) return batch.error();
        if (!batch) {
            if (unreadable_) return {};
            unreadable_ = std::move(batch.error());
            unreadable_.rooms.emplace_back(id, unreadable_.code);
            return {};
        }
        again = batch->state != State::goes_on || !batch->entries.empty();
        if (!again) return {};
        if (batch->state == State::gap)
            shared_->health.change([](redis::RoomsStatus& status) { ++status.gaps; });
        part::FanoutBatch& to = found[id];
        batch->messages = std::move(to.messages);
        to = std::move(*batch);
        return {};
    }
    /// Returns the entries after those that were read. Another history is a gap, or over.
    [[nodiscard]] Result<part::FanoutBatch, PersistenceError> batch_after(
        const std::string& id, const part::RoomReader& reader) {
        const RedisRoomKeys keys{options_.prefix, id};
        const RedisRoomLog known = shared_->logs.of(id);
        const bool is_present = known.before.empty();
        RedisReply reply;
        if (PersistenceError e = link_.eval(
                redis_room_batch, keys, reply, is_present ? known.log : known.before,
                redis_entry_id(reader.from), redis_entry_id(is_present ? known.acked : 0),
                std::to_string(options_.batch_entries_max),
                std::to_string(options_.batch_bytes_max), as_text(known.server),
                redis_text_of(reader.epoch)))
            return e;
        part::FanoutBatch batch;
        const std::string_view is = reply_text(reply, 0);
        if (is == "gap") batch.state = State::gap;
        if (is == "over") batch.state = State::over;
        if (is == "over" && is_present) shared_->logs.covered(id);
        if (is == "gap" || is == "over" || is == "none") return batch;
        if (is != "on" || !take_redis_id(reply_text(reply, 1), batch.epoch) ||
            !take_redis_entries(reply_at(reply.get(), 3), batch.entries))
            return foreign_redis_key(keys.room);
        for (part::FanoutBatch::Entry& entry : batch.entries) entry.change.epoch = batch.epoch;
        // Changes from now on are appended to this history, and to none that follows it.
        shared_->logs.discovered(id, reply_text(reply, 2));
        return batch;
    }

    static constexpr int messages_per_turn = 1000;
    static constexpr int reads_per_turn = 32;

    const redis::RoomsOptions options_;
    std::shared_ptr<RedisRoomsShared> shared_;
    RedisRoomLink link_;
    struct {
        RedisConnection connection{};  // in the subscriber mode
        bool expects = false;          // a reply
        Instant expects_until = always;
        Instant received_at = always;
    } notified_;
    struct {
        Subs subs{};
        std::map<std::string, std::string, std::less<>> by_channel{};  // their ids
        std::set<std::string> changed{};
        std::string next{};  // that is read first
    } rooms_;
    PersistenceError unreadable_{};  // of a room that could not be read
    std::uint64_t outages_ = 0;      // that were reported
    struct {
        std::string value{};
        Instant compares_at = always;
    } mark_;  // of the store
    Random bits_;
    posix::detail::WakeupFd wakeup_{};
};

}}}  // namespace belay::detail
