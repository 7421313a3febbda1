// SPDX-License-Identifier: MIT
/// \file belay/room/detail/subscription_thread.hpp
/// SubscriptionThread: the subscriptions of an OnThread, and the thread that waits for their rooms.
#pragma once

#include <chrono>              // std::chrono::minutes, std::chrono::seconds
#include <condition_variable>  // std::condition_variable
#include <cstddef>             // std::size_t
#include <cstdint>             // std::uint64_t
#include <deque>               // std::deque
#include <functional>          // std::less
#include <iterator>            // std::move_iterator
#include <list>                // std::list
#include <map>                 // std::map
#include <mutex>               // std::mutex
#include <optional>            // std::optional
#include <set>                 // std::set
#include <string>              // std::string
#include <string_view>         // std::string_view
#include <thread>              // std::thread
#include <utility>             // std::declval, std::exchange, std::move
#include <vector>              // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/clocks.hpp>
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
/// is. Messages `left` have these limits for themselves, so that none is dropped in favour of a
/// state. The rooms take turns.
///
/// Complexity:    O(log rooms + log messages of the room).
/// Throws:        std::bad_alloc, in `push` and `take`; at most the messages that these would add
///                or take are lost.
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

/// Waits for the rooms of a blocking storage, and answers their subscriptions. In between, it
/// publishes messages.
///
/// After an answer, the messages of the room are kept for a minute, for the next subscription.
///
/// Thread safety: any thread.
template <class P>
class SubscriptionThread {
    using Subscription = decltype(std::declval<P&>().subscription());
    using Batch = Result<part::FanoutBatch, PersistenceError>;

public:
    SubscriptionThread(P& persistence, const MessageLimits& limits)
        : subscription_{persistence.subscription()}, messages_{UnpublishedMessages{limits}} {}
    SubscriptionThread(const SubscriptionThread&) = delete;
    SubscriptionThread& operator=(const SubscriptionThread&) = delete;
    ~SubscriptionThread() {
        end();
        if (thread_.joinable()) thread_.join();
    }

    void start() {
        thread_ = std::thread{[this] { run(); }};
    }
    /// The thread ends soon. The destructor waits for it.
    void end() {
        {
            const std::lock_guard lock{mutex_};
            ends_ = true;
        }
        wake();
    }
    void subscribe(std::string_view id, const part::RoomReader& reader, Completion<Batch> done) {
        {
            const std::lock_guard lock{mutex_};
            posted_.requests.insert_or_assign(std::string{id}, Request{reader, std::move(done)});
        }
        wake();
    }
    void publish(std::string_view id, BytesView message) {
        {
            const std::lock_guard lock{mutex_};
            messages_.waiting.push(id, message);
        }
        wake();
    }
    /// Sets the numbers of messages of an OnThreadQueue.
    template <class Queue>
    void count(Queue& queue) {
        const std::lock_guard lock{mutex_};
        queue.messages = messages_.waiting.waiting().count;
        queue.message_bytes = messages_.waiting.waiting().bytes;
        queue.messages_dropped = messages_.waiting.dropped();
        queue.messages_unread = messages_.unread;
    }
    /// The room may have another history, or be gone.
    void changed(const std::string& id) {
        {
            const std::lock_guard lock{mutex_};
            posted_.changed.insert(id);
        }
        wake();
    }

private:
    struct Request {
        part::RoomReader reader;
        Completion<Batch> done;
    };
    /// Subscriptions and rooms that other threads have posted.
    struct Posted {
        std::map<std::string, Request, std::less<>> requests{};
        std::set<std::string> changed{};
    };
    struct Sub {
        [[nodiscard]] bool waits() const noexcept { return done && done->wanted(); }

        std::optional<Completion<Batch>> done{};
        std::deque<Bytes> messages{};
        std::size_t message_bytes = 0;
        Instant answered_at = always;
        bool outage_reported = false;
    };
    using Subs = std::map<std::string, Sub>;

    void wake() {
        subscription_.wake();
        woken_.notify_one();
    }

    // ---- the thread ----------------------------------------------------------------------------

    void run() {
        for (;;) {
            const bool ends = take_requests();
            const bool more = publish_some();
            if (ends) return publish_rest();
            sweep();
            part::ReadRooms read =
                subscription_.wait(readers_, changed_, more ? Duration{0} : wait_max);
            read ? take_all(*read) : fail(read.error());
        }
    }
    /// Returns: whether the thread ends.
    [[nodiscard]] bool take_requests() {
        Posted posted;
        bool ends = false;
        {
            const std::lock_guard lock{mutex_};
            posted = std::exchange(posted_, {});
            ends = ends_;
        }
        changed_.merge(posted.changed);
        for (auto& [id, request] : posted.requests) {
            const auto at = subs_.try_emplace(id).first;
            at->second.done.emplace(std::move(request.done));
            readers_.insert_or_assign(id, request.reader);
            changed_.insert(id);
            if (!at->second.messages.empty()) answer(at, part::FanoutBatch{});
        }
        return ends;
    }
    /// Returns: whether more messages wait.
    [[nodiscard]] bool publish_some() {
        std::vector<part::PublishedMessage> messages;
        bool more = false;
        {
            const std::lock_guard lock{mutex_};
            messages = messages_.waiting.take();
            more = !messages_.waiting.empty();
        }
        if (!messages.empty()) subscription_.publish(messages);
        return more;
    }
    /// Publishes the messages that wait at the end, such as that clients have left.
    void publish_rest() {
        const Instant until = after(SteadyClock{}.now(), std::chrono::seconds{1});
        while (publish_some() && SteadyClock{}.now() < until) continue;
    }
    void take_all(std::map<std::string, part::FanoutBatch>& read) {
        changed_.clear();
        for (auto& [id, sub] : subs_) sub.outage_reported = false;
        for (auto& [id, batch] : read) {
            const auto found = subs_.find(id);
            if (found == subs_.end()) continue;
            Sub& sub = found->second;
            for (Bytes& message : batch.messages) add(sub, std::move(message));
            batch.messages.clear();
            const bool nothing = batch.state == part::FanoutBatch::State::goes_on &&
                                 batch.entries.empty() && sub.messages.empty();
            if (!nothing) answer(found, std::move(batch));
        }
    }
    void add(Sub& sub, Bytes message) {
        sub.message_bytes += message.size();
        sub.messages.push_back(std::move(message));
        while (sub.messages.size() > messages_.waiting.limits().of_room ||
               sub.message_bytes > messages_.waiting.limits().bytes_of_room) {
            sub.message_bytes -= sub.messages.front().size();
            sub.messages.pop_front();
            const std::lock_guard lock{mutex_};
            ++messages_.unread;
        }
    }
    /// Answers a subscription that waits. One that its caller has dropped ends.
    void answer(typename Subs::iterator at, Batch batch) {
        Sub& sub = at->second;
        if (!sub.done) return;
        if (!sub.waits()) {
            readers_.erase(at->first);
            subs_.erase(at);
            return;
        }
        if (batch) {
            batch->messages.assign(std::move_iterator{sub.messages.begin()},
                                   std::move_iterator{sub.messages.end()});
            sub.messages.clear();
            sub.message_bytes = 0;
        }
        readers_.find(at->first)->second.waits = false;
        sub.answered_at = SteadyClock{}.now();
        Completion<Batch> done = std::move(*std::exchange(sub.done, std::nullopt));
        done(std::move(batch));
    }
    /// Reports an error to the rooms that it names, or to all.
    void fail(const PersistenceError& why) {
        for (const auto& [id, code] : why.rooms) {
            const auto found = subs_.find(id);
            if (found != subs_.end()) answer(found, why);
        }
        if (why.rooms.empty()) fail_all(why);
    }
    /// Reports an outage once to each subscription, and waits before the next try. All rooms are
    /// compared then.
    void fail_all(const PersistenceError& why) {
        for (auto next = subs_.begin(); next != subs_.end();) {
            const auto at = next++;
            changed_.insert(at->first);
            Sub& sub = at->second;
            if (sub.waits() && !std::exchange(sub.outage_reported, true)) answer(at, why);
        }
        std::unique_lock lock{mutex_};
        woken_.wait_for(lock, retry_after, [this] { return ends_; });
    }
    /// Ends the subscriptions that nothing waits for.
    void sweep() {
        const Instant now = SteadyClock{}.now();
        if (now < sweeps_at_) return;
        sweeps_at_ = after(now, wait_max);
        for (auto it = subs_.begin(); it != subs_.end();) {
            const Sub& sub = it->second;
            const bool over =
                sub.done ? !sub.waits() : elapsed(sub.answered_at, now) > std::chrono::minutes{1};
            if (over) readers_.erase(it->first);
            it = over ? subs_.erase(it) : std::next(it);
        }
    }

    static constexpr Duration wait_max = std::chrono::seconds{1};
    static constexpr std::chrono::milliseconds retry_after{500};

    // Used by all threads.
    Subscription subscription_;  // only `wake`
    std::mutex mutex_{};
    std::condition_variable woken_{};
    Posted posted_{};
    struct {
        UnpublishedMessages waiting;
        std::uint64_t unread = 0;
    } messages_;
    bool ends_ = false;
    // Used by the thread.
    part::RoomReaders readers_{};
    Subs subs_{};
    std::set<std::string> changed_{};
    Instant sweeps_at_ = always;
    std::thread thread_{};
};

}}}  // namespace belay::detail
