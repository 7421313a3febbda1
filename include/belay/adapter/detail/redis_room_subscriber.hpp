// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/redis_room_subscriber.hpp
/// RedisRoomSubscriber: the subscriptions of a redis::Rooms, and the connection that hears of
/// changes.
#pragma once

#include <algorithm>     // std::clamp
#include <chrono>        // std::chrono::ceil, std::chrono::steady_clock
#include <deque>         // std::deque
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/adapter/detail/redis_room_store.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection in Redis's mode for subscribers says which rooms have changed, and what was
/// published; what has changed is read by the store's connection.
///
/// A subscription is read once it is confirmed, so that nothing lies between. When the connection
/// is lost, each room is answered why, once; what it asks during the outage waits for the end of
/// that, and reads what was missed.
///
/// Thread safety: one thread.   Blocks: while it connects, or sends.
class RedisRoomSubscriber {
public:
    using Clock = RedisRoomStore::Clock;

    RedisRoomSubscriber(const redis::RoomsOptions& options, RedisRoomPositions& positions,
                        RedisRoomStore& store)
        : options_{options}, positions_{&positions}, store_{&store} {
        connection_.use(connection_of(options));
    }

    void subscribe(const std::string& id, std::uint64_t from,
                   Completion<Result<part::FanoutNews, PersistenceError>> done) {
        if (!done.wanted()) return;
        auto found = subs_.find(id);
        if (found == subs_.end()) {
            found = subs_.try_emplace(id).first;
            found->second.channel = RedisRoomKeys{options_.prefix, id}.channel;
            found->second.log = positions_->state(id).log;
            by_channel_.emplace(found->second.channel, found);
        }
        Sub& sub = found->second;
        if (sub.from != from) sub.changed = true;
        sub.from = from;
        sub.done = std::move(done);
    }
    /// It is read from there on.
    void loaded(const std::string& id) {
        const auto found = subs_.find(id);
        if (found == subs_.end()) return;
        found->second.log = positions_->state(id).log;
        found->second.changed = true;
    }

    /// It may be another one, or gone.
    void changed(const std::string& id) {
        const auto found = subs_.find(id);
        if (found != subs_.end()) found->second.changed = true;
    }

    /// Hears, and answers.   Returns: whether there is more to do at once.
    bool step() {
        sweep();
        if (store_->outages() != seen_) lose(store_->why_down());
        if (subs_.empty()) connection_.close();
        if (subs_.empty() || store_->is_down()) return false;
        const PersistenceError asked = ask_for_all();
        if (asked) return down(asked);
        bool more = false;
        const PersistenceError heard = hear(more);
        if (heard) return down(heard);
        const PersistenceError silent = watch();
        if (silent) return down(silent);
        compare();
        if (store_->outages() != seen_) return true;
        for (auto& [id, sub] : subs_) {
            if (sub.done && sub.confirmed && (sub.changed || !sub.messages.empty()))
                answer(id, sub);
            if (store_->outages() != seen_) return true;
        }
        return more;
    }
    [[nodiscard]] int descriptor() const noexcept { return connection_.descriptor(); }
    /// Until when nothing need be done, if nothing is heard.
    [[nodiscard]] std::chrono::milliseconds patience() const noexcept {
        if (subs_.empty()) return std::chrono::milliseconds{-1};
        if (store_->is_down()) return options_.retry_after;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(compares_at_ - Clock::now());
        return std::clamp(left, std::chrono::milliseconds{1}, std::chrono::milliseconds{1000});
    }

private:
    struct Sub {
        std::string channel{};
        std::string log{};
        std::uint64_t from = 0;
        std::optional<Completion<Result<part::FanoutNews, PersistenceError>>> done{};
        std::deque<Bytes> messages{};
        std::size_t message_bytes = 0;
        Clock::time_point answered_at{};
        bool asked = false;
        bool confirmed = false;
        bool changed = true;
        bool told = false;  ///< of the outage
    };
    using Subs = std::map<std::string, Sub, std::less<>>;

    // ---- the connection ------------------------------------------------------------------------

    [[nodiscard]] PersistenceError ask_for_all() {
        // One that ended unheard, when a room was left, has ended for all.
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
    [[nodiscard]] PersistenceError hear(bool& more) {
        RedisReply reply;
        for (int i = 0; i < hears_max; ++i) {
            if (const std::error_code e = connection_.hear(reply))
                return store_->explain(e, connection_.last_words());
            if (!reply) return {};
            expects_ = false;
            heard_at_ = Clock::now();
            if (reply->type == REDIS_REPLY_ERROR) {
                const std::string words{reply_text(reply.get())};
                const std::error_code code = code_of_redis(words);
                // To a PING: a sign of life, of a Redis that reads and publishes.
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
            sub.told = false;
        }
        if (kind != "message") return;
        const std::string_view said = reply_text(reply_at(&reply, 2));
        if (said == "e") sub.changed = true;
        if (!said.starts_with('m')) return;
        const BytesView message = as_bytes(said.substr(1));
        sub.messages.emplace_back(message.begin(), message.end());
        sub.message_bytes += message.size();
        while (sub.messages.size() > options_.messages_max ||
               sub.message_bytes > options_.messages_bytes_max) {
            sub.message_bytes -= sub.messages.front().size();
            sub.messages.pop_front();
        }
    }
    /// A Redis that is frozen, or behind a broken line, says nothing and ends nothing.
    [[nodiscard]] PersistenceError watch() {
        const Clock::time_point now = Clock::now();
        if (expects_ && now >= expects_until_)
            return store_->explain(make_error_code(redis::Errc::no_answer), "");
        if (expects_ || now - heard_at_ < options_.command_timeout) return {};
        if (const std::error_code e = connection_.post({"PING"}))
            return store_->explain(e, connection_.last_words());
        expect();
        return {};
    }
    /// A Redis that was emptied tells nobody, however busy it is. It must be known which one it
    /// was before a room is read for the first time, or it could be emptied in between.
    void compare() {
        const Clock::time_point now = Clock::now();
        if (now < compares_at_) return;
        compares_at_ = now + options_.command_timeout;
        if (!store_->is_another(mark_)) return;
        for (auto& [id, sub] : subs_) sub.changed = true;
    }
    bool down(const PersistenceError& why) {
        store_->went_down(why);
        lose(why);
        return false;
    }
    void lose(const PersistenceError& why) {
        seen_ = store_->outages();
        connection_.close();
        expects_ = false;
        for (auto& [id, sub] : subs_) {
            sub.asked = sub.confirmed = false;
            sub.changed = true;
            if (!sub.done || std::exchange(sub.told, true)) continue;
            Completion<Result<part::FanoutNews, PersistenceError>> done =
                std::move(*std::exchange(sub.done, std::nullopt));
            sub.answered_at = Clock::now();
            done(Result<part::FanoutNews, PersistenceError>{why});
        }
    }

    // ---- subscriptions -------------------------------------------------------------------------

    void answer(const std::string& id, Sub& sub) {
        Result<part::FanoutNews, PersistenceError> news = part::FanoutNews{};
        if (sub.changed) {
            news = store_->news(id, sub.log, sub.from);
            // What has more to say is asked again, a gap until the room is loaded; an outage is
            // told to all at once.
            if (!news && store_->outages() != seen_) return;
            sub.changed =
                !news || !news->entries.empty() || news->state != part::FanoutNews::State::goes_on;
        }
        if (news) {
            const bool nothing = news->state == part::FanoutNews::State::goes_on &&
                                 news->entries.empty() && sub.messages.empty();
            if (nothing) return;
            news->messages.assign(std::move_iterator{sub.messages.begin()},
                                  std::move_iterator{sub.messages.end()});
            sub.messages.clear();
            sub.message_bytes = 0;
            if (!news->entries.empty()) sub.from = news->entries.back().position;
        }
        Completion<Result<part::FanoutNews, PersistenceError>> done =
            std::move(*std::exchange(sub.done, std::nullopt));
        sub.answered_at = Clock::now();
        done(std::move(news));
    }
    /// Rooms that nobody listens to any more.
    void sweep() {
        const Clock::time_point now = Clock::now();
        if (now < sweeps_at_) return;
        sweeps_at_ = now + std::chrono::seconds{1};
        for (auto it = subs_.begin(); it != subs_.end();) {
            const Sub& sub = it->second;
            const bool over =
                sub.done ? !sub.done->wanted() : now - sub.answered_at > std::chrono::minutes{1};
            if (!over) {
                ++it;
                continue;
            }
            // Not for its answer: what breaks off is noticed where something is awaited.
            if (sub.asked && connection_.descriptor() >= 0)
                static_cast<void>(connection_.post({"UNSUBSCRIBE", sub.channel}));
            by_channel_.erase(sub.channel);
            it = subs_.erase(it);
        }
    }

    static constexpr int hears_max = 1000;

    const redis::RoomsOptions options_;
    RedisRoomPositions* positions_;
    RedisRoomStore* store_;
    RedisConnection connection_;
    Subs subs_;
    std::map<std::string, Subs::iterator, std::less<>> by_channel_;
    std::uint64_t seen_ = 0;  ///< outages that were told
    std::string mark_{};      ///< of the store
    Clock::time_point sweeps_at_{};
    Clock::time_point compares_at_{};
    Clock::time_point expects_until_{};
    Clock::time_point heard_at_{};
    bool expects_ = false;
};

}}}  // namespace belay::detail
