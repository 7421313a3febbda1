// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_worker.hpp
/// RedisRoomWorker: the thread of a redis::Rooms, and the calls that wait for it.
#pragma once

#include <poll.h>

#include <chrono>       // std::chrono::seconds
#include <cstdint>      // std::uint64_t
#include <deque>        // std::deque
#include <mutex>        // std::mutex
#include <optional>     // std::optional
#include <string>       // std::string
#include <thread>       // std::thread
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::move
#include <variant>      // std::get, std::variant
#include <vector>       // std::vector

#include <belay/posix/poller.hpp>
#include <belay/redis/detail/room_subscriber.hpp>
#include <belay/room/detail/call_queue.hpp>
#include <belay/room/detail/unpublished_messages.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Carries out one call after the other. In between, it serves the subscriptions, and publishes
/// messages.
class RedisRoomWorker {
    using Shares = CallShares<redis::RoomsOptions>;

public:
    /// Changes since the last flush. They wait like calls until the flush is under way.
    struct Staged {
        std::vector<StagedChange> changes{};
        std::vector<Shares::Place> places{};
    };
    struct Load {
        std::string id;
        Completion<part::LoadedRoom> done;
    };
    struct Flush {
        Staged staged;
        Completion<part::FlushedRooms> done;
    };
    struct Save {
        std::string id;
        std::vector<Bytes> snapshot;
        std::uint64_t covers;
        Completion<PersistenceError> done;
    };
    struct List {
        std::string after;
        std::size_t count;
        Completion<part::ListedRooms> done;
    };
    struct Subscribe {
        std::string id;
        Id epoch;
        std::uint64_t from;
        Completion<Result<part::FanoutBatch, PersistenceError>> done;
    };

    /// Creates the worker. `start` starts its thread.
    explicit RedisRoomWorker(const redis::RoomsOptions& options)
        : uncovered_{options.uncovered_bytes_max},
          store_{options, logs_, uncovered_},
          subscriber_{options, logs_, store_, uncovered_},
          shares_{options},
          messages_{{options.messages_max, options.messages_bytes_max, options.calls_max,
                     options.bytes_max}} {}
    RedisRoomWorker(const RedisRoomWorker&) = delete;
    RedisRoomWorker& operator=(const RedisRoomWorker&) = delete;
    ~RedisRoomWorker() {
        {
            const std::lock_guard lock{mutex_};
            ends_ = true;
        }
        wakeup_.signal();
        if (thread_.joinable()) thread_.join();
    }

    // ---- the user's thread ---------------------------------------------------------------------

    void start() {
        thread_ = std::thread{[this] { run(); }};
    }
    /// Whether the limits allow one more call of a room, or of all rooms if `id` is empty.
    [[nodiscard]] bool takes(std::string_view id, const CallBytes& size) {
        const std::lock_guard lock{mutex_};
        return shares_.takes(id, size);
    }
    /// Queues a call.   Pre: takes(id, size).
    template <class C>
    void post(C call, std::string_view id, const CallBytes& size) {
        {
            const std::lock_guard lock{mutex_};
            push(std::move(call), id, size);
        }
        wakeup_.signal();
    }
    /// Adds a change to those since the last flush.
    /// Pre: takes(change.id, {.updates = change.update.size()}).
    void stage(Staged& staged, StagedChange change) {
        const std::lock_guard lock{mutex_};
        // The steps that may throw come first. They count nothing.
        reserve_one(staged.changes);
        reserve_one(staged.places);
        const Shares::Place place = shares_.place(change.id, {.updates = change.update.size()});
        staged.places.push_back(place);
        staged.changes.push_back(std::move(change));
        shares_.enter(place);
    }
    /// Queues the flush of these changes.
    /// Returns: whether the limits allow it. If not, the changes are dropped. Without memory, they
    /// stay staged.
    [[nodiscard]] bool post_flush(Staged& staged, Completion<part::FlushedRooms>& done) {
        {
            const std::lock_guard lock{mutex_};
            // The steps that may throw come first.
            const Shares::Place place = shares_.place({}, {});
            calls_.push_back({Flush{{}, std::move(done)}, place});
            for (const Shares::Place& change : staged.places) shares_.begin(change);
            Flush& flush = std::get<Flush>(calls_.back().call);
            flush.staged = std::exchange(staged, {});
            if (!shares_.takes({}, {})) {
                end(flush.staged);
                done = std::move(flush.done);
                calls_.pop_back();
                return false;
            }
            shares_.enter(place);
        }
        wakeup_.signal();
        return true;
    }
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        return uncovered_.rooms_to_save();
    }
    [[nodiscard]] redis::RoomsStatus status() {
        redis::RoomsStatus status = store_.status().get();
        status.rooms_to_save = uncovered_.size();
        status.rooms_known = logs_.size();
        const std::lock_guard lock{mutex_};
        status.calls = shares_.calls();
        status.update_bytes = shares_.bytes().updates;
        status.snapshot_bytes = shares_.bytes().snapshots;
        status.messages = messages_.waiting().count;
        status.message_bytes = messages_.waiting().bytes;
        status.messages_dropped = messages_.dropped();
        return status;
    }
    void publish(std::string_view id, BytesView message) {
        {
            const std::lock_guard lock{mutex_};
            messages_.push(id, message);
        }
        wakeup_.signal();
    }

private:
    using Call = std::variant<Load, Flush, Save, List, Subscribe>;
    struct Waiting {
        Call call;
        Shares::Place place;
    };

    template <class T>
    static void reserve_one(std::vector<T>& to) {
        static_assert(std::is_nothrow_move_constructible_v<T>);
        if (to.size() == to.capacity()) to.reserve(to.size() + to.size() / 2 + 4);
    }

    // The mutex is locked during these two.

    void push(Call call, std::string_view id, const CallBytes& size) {
        calls_.push_back({std::move(call), shares_.place(id, size)});
        shares_.enter(calls_.back().place);
    }
    /// Ends changes that were carried out, or never will be.
    void end(const Staged& staged) noexcept {
        for (const Shares::Place& place : staged.places) shares_.done(place);
    }

    // ---- the worker's thread --------------------------------------------------------------------

    void run() {
        for (;;) {
            wakeup_.reset();
            bool more = make_some();
            more = subscriber_.step() || more;
            more = publish_some() || more;
            if (ends()) return publish_rest();
            if (!more) wait();
        }
    }
    [[nodiscard]] bool ends() {
        const std::lock_guard lock{mutex_};
        return ends_;
    }
    /// Publishes the messages that wait when the worker ends, such as that clients have left.
    void publish_rest() {
        const auto until = RedisRoomStore::Clock::now() + std::chrono::seconds{1};
        while (publish_some() && RedisRoomStore::Clock::now() < until) continue;
    }
    /// Returns: whether more calls wait. The subscriber has its turn before them.
    [[nodiscard]] bool make_some() {
        for (int i = 0; i < calls_per_turn; ++i) {
            std::optional<Waiting> next = take();
            if (!next) return false;
            std::visit([this](auto& call) { this->make(call); }, next->call);
            const std::lock_guard lock{mutex_};
            shares_.done(next->place);
        }
        return true;
    }
    /// Publishes messages in one round trip, so that a call which comes meanwhile waits for no
    /// more.   Returns: whether more messages wait.
    [[nodiscard]] bool publish_some() {
        std::vector<part::PublishedMessage> messages;
        bool more = false;
        {
            const std::lock_guard lock{mutex_};
            if (store_.is_down()) drop_messages();
            messages = messages_.take();
            more = !messages_.empty();
        }
        if (!messages.empty()) store_.publish(messages);
        return more;
    }
    /// Drops the messages that wait.   Pre: the mutex is locked.
    void drop_messages() {
        const std::size_t lost = messages_.waiting().count;
        store_.status().change([&](redis::RoomsStatus& status) { status.messages_lost += lost; });
        messages_.clear();
    }
    [[nodiscard]] std::optional<Waiting> take() {
        const std::lock_guard lock{mutex_};
        if (ends_ || calls_.empty()) return std::nullopt;
        Waiting next = std::move(calls_.front());
        calls_.pop_front();
        shares_.begin(next.place);
        return next;
    }
    void wait() const {
        pollfd polled[2] = {{wakeup_.descriptor(), POLLIN, 0},
                            {subscriber_.descriptor(), POLLIN, 0}};
        // A wakeup, a message and an error of poll() are all handled by the next turn.
        static_cast<void>(::poll(polled, 2, static_cast<int>(subscriber_.patience().count())));
    }

    void make(Load& call) {
        // A load that nothing waits for is skipped, so that it does not delay other calls.
        if (!call.done.wanted()) return;
        const std::string log = logs_.state(call.id).log;
        part::LoadedRoom found = store_.load(call.id, subscriber_.serves(call.id));
        if (found) subscriber_.loaded(call.id);
        // The history to which this server has added has ended.
        if (found && log != logs_.state(call.id).log) uncovered_.reset(call.id);
        call.done(std::move(found));
    }
    void make(Flush& call) {
        part::FlushedRooms flushed = store_.flush(call.staged.changes);
        {
            const std::lock_guard lock{mutex_};
            end(call.staged);
        }
        // Redis does not report a lost history, so the subscriptions of these rooms read again.
        for (const auto& [id, code] : flushed.error.rooms) subscriber_.changed(id);
        call.done(std::move(flushed));
    }
    void make(Save& call) {
        // Its caller has given up, and may have posted another one.
        if (!call.done.wanted()) return;
        uncovered_.reset(call.id);
        PersistenceError error = store_.save(call.id, call.snapshot, call.covers);
        // The entries that the snapshot would cover may be lost.
        if (error.code == RoomErrc::stale_snapshot) subscriber_.changed(call.id);
        call.done(std::move(error));
    }
    void make(List& call) {
        if (call.done.wanted()) call.done(store_.list(call.after, call.count));
    }
    void make(Subscribe& call) {
        subscriber_.subscribe(call.id, call.epoch, call.from, std::move(call.done));
    }

    static constexpr int calls_per_turn = 100;

    RedisRoomLogs logs_{};
    RedisRoomUncovered uncovered_;
    RedisRoomStore store_;
    RedisRoomSubscriber subscriber_;
    posix::detail::WakeupFd wakeup_{};
    std::mutex mutex_{};
    Shares shares_;
    std::deque<Waiting> calls_{};
    UnpublishedMessages messages_;
    bool ends_ = false;
    std::thread thread_{};
};

}}}  // namespace belay::detail
