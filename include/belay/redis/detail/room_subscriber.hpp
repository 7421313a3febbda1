// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_subscriber.hpp
/// RedisRoomSubscriber: the subscriptions of a redis::Rooms, and the connection that receives
/// notifications of changes.
#pragma once

#include <algorithm>     // std::clamp
#include <chrono>        // std::chrono::ceil, std::chrono::steady_clock
#include <functional>    // std::less
#include <list>          // std::list
#include <map>           // std::map
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/redis/detail/room_store.hpp>
#include <belay/redis/detail/room_uncovered.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection in the subscriber mode of Redis receives which rooms have changed, and the
/// published messages. The store's connection reads the changes.
///
/// The subscriber reads a room after its subscription is confirmed, so that it misses nothing in
/// between. When the connection is lost, it completes each subscription once with the reason. A
/// subscription that is renewed during the outage waits for its end, and then reads the changes
/// that were missed.
///
/// Thread safety: one thread.   Blocks: while it connects, or sends.
class RedisRoomSubscriber {
public:
    using Clock = RedisRoomStore::Clock;

    RedisRoomSubscriber(const redis::RoomsOptions& options, RedisRoomLogs& logs,
                        RedisRoomStore& store, RedisRoomUncovered& uncovered)
        : options_{options}, logs_{&logs}, store_{&store}, uncovered_{&uncovered} {
        connection_.use(options.connection());
        connection_.reject_cluster();
    }

    void subscribe(const std::string& id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        auto found = subs_.find(id);
        if (!done.wanted()) return;
        if (found == subs_.end()) {
            found = subs_.try_emplace(id).first;
            found->second.channel = RedisRoomKeys{options_.prefix, id}.channel;
            found->second.log = logs_->state(id).log;
            by_channel_.emplace(found->second.channel, found);
            count_subscriptions();
        }
        Sub& sub = found->second;
        if (sub.from != from || sub.epoch != epoch) sub.changed = true;
        sub.epoch = epoch;
        sub.from = from;
        sub.done = std::move(done);
    }
    /// The room was loaded: its subscription reads from there.
    void loaded(const std::string& id) {
        const auto found = subs_.find(id);
        if (found == subs_.end()) return;
        found->second.log = logs_->state(id).log;
        found->second.changed = true;
    }

    /// Returns whether this server has the room: a subscription to it waits, or was answered just
    /// now.
    [[nodiscard]] bool serves(const std::string& id) const {
        const auto found = subs_.find(id);
        return found != subs_.end() && (!found->second.done || found->second.done->wanted());
    }
    /// The room may have another history, or be gone.
    void changed(const std::string& id) {
        const auto found = subs_.find(id);
        if (found != subs_.end()) found->second.changed = true;
    }

    /// Receives messages, and completes subscriptions.   Returns: whether there is more to do at
    /// once.
    bool step() {
        sweep();
        if (store_->outages() != seen_) report_outage(store_->why_down());
        if (subs_.empty()) connection_.close();
        if (subs_.empty() || store_->is_down()) return false;
        const PersistenceError asked = subscribe_all();
        if (asked) return down(asked);
        bool more = false;
        const PersistenceError received = receive(more);
        if (received) return down(received);
        const PersistenceError silent = watch();
        if (silent) return down(silent);
        compare();
        if (store_->outages() != seen_) return true;
        return answer_some() || more;
    }
    [[nodiscard]] int descriptor() const noexcept { return connection_.descriptor(); }
    /// Returns the time to wait if nothing is received; -1 ms means without limit.
    [[nodiscard]] std::chrono::milliseconds patience() const noexcept {
        if (subs_.empty()) return std::chrono::milliseconds{-1};
        if (store_->is_down()) return options_.retry_after;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(compares_at_ - Clock::now());
        return std::clamp(left, std::chrono::milliseconds{1}, std::chrono::milliseconds{1000});
    }

private:
    struct Sub {
        [[nodiscard]] bool waits() const noexcept { return done && done->wanted(); }

        std::string channel{};
        std::string log{};
        Id epoch{};
        std::uint64_t from = 0;
        std::optional<Completion<Result<part::FanoutBatch, PersistenceError>>> done{};
        std::list<Bytes> messages{};  // without memory while it is empty
        std::size_t message_bytes = 0;
        Clock::time_point answered_at{};
        bool asked = false;
        bool confirmed = false;
        bool changed = true;
        bool outage_reported = false;  ///< since its last confirmation
    };
    using Subs = std::map<std::string, Sub, std::less<>>;

    // ---- the connection ------------------------------------------------------------------------

    [[nodiscard]] PersistenceError subscribe_all() {
        // A connection that was lost while it unsubscribed has lost all subscriptions.
        if (connection_.descriptor() < 0) {
            for (auto& [id, sub] : subs_) sub.asked = sub.confirmed = false;
        }
        for (auto& [id, sub] : subs_) {
            if (sub.asked) continue;
            if (const std::error_code e = connection_.post({"SUBSCRIBE", sub.channel}))
                return store_->explain(e, connection_.last_words());
            sub.asked = true;
            expect();
        }
        return {};
    }
    void expect() {
        if (!expects_) expects_until_ = Clock::now() + options_.command_timeout;
        expects_ = true;
    }
    [[nodiscard]] PersistenceError receive(bool& more) {
        RedisReply reply;
        for (int i = 0; i < messages_per_step; ++i) {
            if (const std::error_code e = connection_.next_message(reply))
                return store_->explain(e, connection_.last_words());
            if (!reply) return {};
            expects_ = false;
            received_at_ = Clock::now();
            if (reply->type == REDIS_REPLY_ERROR) {
                const std::string words{reply_text(reply.get())};
                const std::error_code code = code_of_redis(words);
                // A PING may be answered so. It shows that Redis is alive, reads and publishes.
                if (code == redis::Errc::cannot_persist) continue;
                return store_->explain(code, words.c_str());
            }
            take(*reply);
        }
        more = true;
        return {};
    }
    void take(const redisReply& reply) {
        const std::string_view kind = reply_text(reply_at(&reply, 0));
        const auto found = by_channel_.find(reply_text(reply_at(&reply, 1)));
        if (found == by_channel_.end()) return;
        Sub& sub = found->second->second;
        if (kind == "subscribe") {
            sub.confirmed = sub.changed = true;
            sub.outage_reported = false;
        }
        if (kind != "message") return;
        const std::string_view payload = reply_text(reply_at(&reply, 2));
        if (payload == "e") sub.changed = true;
        if (!payload.starts_with('m')) return;
        const BytesView message = as_bytes(payload.substr(1));
        sub.messages.emplace_back(message.begin(), message.end());
        sub.message_bytes += message.size();
        while (sub.messages.size() > options_.messages_max ||
               sub.message_bytes > options_.messages_bytes_max) {
            sub.message_bytes -= sub.messages.front().size();
            sub.messages.pop_front();
            store_->status().change([](redis::RoomsStatus& status) { ++status.messages_unread; });
        }
    }
    /// Detects a Redis that does not respond and does not close the connection, because it is
    /// frozen or the network is broken.
    [[nodiscard]] PersistenceError watch() {
        const Clock::time_point now = Clock::now();
        if (expects_ && now >= expects_until_)
            return store_->explain(make_error_code(redis::Errc::no_answer), "");
        if (expects_ || now - received_at_ < options_.command_timeout) return {};
        if (const std::error_code e = connection_.post({"PING"}))
            return store_->explain(e, connection_.last_words());
        expect();
        return {};
    }
    /// Detects that Redis was emptied, which it does not report, however many messages arrive. The
    /// mark must be known before a room is read for the first time, or Redis could be emptied in
    /// between.
    void compare() {
        const Clock::time_point now = Clock::now();
        if (now < compares_at_) return;
        compares_at_ = now + options_.command_timeout;
        if (!store_->is_another(mark_)) return;
        for (auto& [id, sub] : subs_) sub.changed = true;
    }
    bool down(const PersistenceError& why) {
        store_->went_down(why);
        report_outage(why);
        return false;
    }
    void report_outage(const PersistenceError& why) {
        seen_ = store_->outages();
        connection_.close();
        expects_ = false;
        for (auto& [id, sub] : subs_) {
            sub.asked = sub.confirmed = false;
            sub.changed = true;
            if (!sub.waits() || std::exchange(sub.outage_reported, true)) continue;
            Completion<Result<part::FanoutBatch, PersistenceError>> done =
                std::move(*std::exchange(sub.done, std::nullopt));
            sub.answered_at = Clock::now();
            done(Result<part::FanoutBatch, PersistenceError>{why});
        }
    }

    // ---- subscriptions -------------------------------------------------------------------------

    /// Answers subscriptions in turn. Each that reads a room is a round trip, and calls may wait.
    /// Returns: whether there are more.
    [[nodiscard]] bool answer_some() {
        int reads = 0;
        auto next = subs_.lower_bound(next_);
        for (std::size_t left = subs_.size(); left != 0; --left, ++next) {
            if (next == subs_.end()) next = subs_.begin();
            auto& [id, sub] = *next;
            if (!sub.waits() || !sub.confirmed || (!sub.changed && sub.messages.empty())) continue;
            if (sub.changed && ++reads > reads_per_step) {
                next_ = id;
                return true;
            }
            answer(id, sub);
            if (store_->outages() != seen_) return true;
        }
        return false;
    }
    void answer(const std::string& id, Sub& sub) {
        Result<part::FanoutBatch, PersistenceError> batch = part::FanoutBatch{};
        if (sub.changed) {
            batch = store_->batch_after(id, sub.epoch, sub.log, sub.from);
            // Unless this server has begun another history itself.
            const bool ended = batch && batch->state == part::FanoutBatch::State::over;
            if (ended && sub.log == logs_->state(id).log) uncovered_->reset(id);
            if (batch && batch->state == part::FanoutBatch::State::gap)
                store_->status().change([](redis::RoomsStatus& status) { ++status.gaps; });
            // If there is more to read, the room is read again, and after a gap until it is loaded.
            // An outage is reported to all subscriptions at once.
            if (!batch && store_->outages() != seen_) return;
            sub.changed = !batch || !batch->entries.empty() ||
                          batch->state != part::FanoutBatch::State::goes_on;
        }
        if (batch) {
            const bool nothing = batch->state == part::FanoutBatch::State::goes_on &&
                                 batch->entries.empty() && sub.messages.empty();
            if (nothing) return;
            batch->messages.assign(std::move_iterator{sub.messages.begin()},
                                   std::move_iterator{sub.messages.end()});
            sub.messages.clear();
            sub.message_bytes = 0;
            if (!batch->entries.empty()) sub.from = batch->entries.back().position;
        }
        Completion<Result<part::FanoutBatch, PersistenceError>> done =
            std::move(*std::exchange(sub.done, std::nullopt));
        sub.answered_at = Clock::now();
        done(std::move(batch));
    }
    /// Ends the subscriptions that nothing waits for.
    void sweep() {
        const Clock::time_point now = Clock::now();
        if (now < sweeps_at_) return;
        sweeps_at_ = now + std::chrono::seconds{1};
        for (auto it = subs_.begin(); it != subs_.end();) {
            const Sub& sub = it->second;
            const bool over =
                sub.done ? !sub.waits() : now - sub.answered_at > std::chrono::minutes{1};
            if (!over) {
                ++it;
                continue;
            }
            // The result does not matter: the next reply that is expected reveals a lost
            // connection.
            if (sub.asked && connection_.descriptor() >= 0)
                static_cast<void>(connection_.post({"UNSUBSCRIBE", sub.channel}));
            by_channel_.erase(sub.channel);
            it = subs_.erase(it);
            count_subscriptions();
        }
    }
    void count_subscriptions() const {
        store_->status().change(
            [this](redis::RoomsStatus& status) { status.subscriptions = subs_.size(); });
    }

    static constexpr int messages_per_step = 1000;
    static constexpr int reads_per_step = 32;

    const redis::RoomsOptions options_;
    RedisRoomLogs* logs_;
    RedisRoomStore* store_;
    RedisRoomUncovered* uncovered_;
    RedisConnection connection_;
    Subs subs_;
    std::string next_{};  ///< the room that is answered first
    std::map<std::string, Subs::iterator, std::less<>> by_channel_;
    std::uint64_t seen_ = 0;  ///< outages that were reported
    std::string mark_{};      ///< of the store
    Clock::time_point sweeps_at_{};
    Clock::time_point compares_at_{};
    Clock::time_point expects_until_{};
    Clock::time_point received_at_{};
    bool expects_ = false;
};

}}}  // namespace belay::detail
