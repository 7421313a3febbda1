// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/redis_room_worker.hpp
/// RedisRoomWorker: the thread of a redis::Rooms, and the calls that wait for it.
#pragma once

#include <poll.h>

#include <algorithm>  // std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <deque>      // std::deque
#include <mutex>      // std::mutex
#include <optional>   // std::optional
#include <string>     // std::string
#include <thread>     // std::thread
#include <utility>    // std::move
#include <variant>    // std::variant
#include <vector>     // std::vector

#include <belay/adapter/detail/redis_room_subscriber.hpp>
#include <belay/posix/detail/wakeup_fd.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Changes since the last flush.
struct RedisStagedChanges {
    std::vector<RedisRoomChange> changes{};
    std::size_t bytes = 0;
};

/// Carries out one call after the other, and serves the subscriptions in between.
class RedisRoomWorker {
public:
    struct Load {
        std::string id;
        Completion<part::LoadedRoom> done;
    };
    struct Flush {
        std::vector<RedisRoomChange> changes;
        Completion<PersistenceError> done;
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
    struct Publish {
        std::string id;
        Bytes message;
    };
    struct Subscribe {
        std::string id;
        std::uint64_t from;
        Completion<Result<part::FanoutBatch, PersistenceError>> done;
    };

    /// Creates the worker. `start` starts its thread.
    explicit RedisRoomWorker(const redis::RoomsOptions& options)
        : options_{options}, store_{options, positions}, subscriber_{options, positions, store_} {}
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
    /// Whether this many more bytes may wait, in addition to what the owner has staged for the next
    /// flush.
    [[nodiscard]] bool takes(const RedisStagedChanges& staged, std::size_t bytes) {
        const std::lock_guard lock{mutex_};
        const std::size_t waits = bytes_ + staged.bytes;
        const std::size_t capacity = options_.bytes_max - std::min(options_.bytes_max, waits);
        // A change that is longer than the limit is accepted alone. Else it is rejected for ever.
        return calls_.size() + staged.changes.size() < options_.calls_max &&
               (bytes <= capacity || waits == 0);
    }
    /// Ends the waiting for changes that will not be carried out any more.
    void forget_turns(const std::vector<RedisRoomChange>& changes) {
        for (const RedisRoomChange& change : changes) {
            if (change.kind != RedisRoomChange::Kind::append)
                positions.forget_turn(change.id, change.basis.turn);
        }
    }
    template <class C>
    void post(C call, std::size_t bytes) {
        {
            const std::lock_guard lock{mutex_};
            calls_.push_back({std::move(call), bytes});
            bytes_ += bytes;
        }
        wakeup_.signal();
    }

    RedisRoomPositions positions{};

private:
    struct Waiting {
        std::variant<Load, Flush, Save, List, Publish, Subscribe> call;
        std::size_t bytes;
    };

    // ---- the worker's thread --------------------------------------------------------------------

    void run() {
        for (;;) {
            wakeup_.reset();
            bool more = make_some();
            more = subscriber_.step() || more;
            {
                const std::lock_guard lock{mutex_};
                if (ends_) return;
            }
            if (!more) wait();
        }
    }
    /// Returns: whether more calls wait. The subscriber has its turn before them.
    [[nodiscard]] bool make_some() {
        for (int i = 0; i < calls_per_turn; ++i) {
            std::optional<Waiting> next = take();
            if (!next) return false;
            std::visit([this](auto& call) { this->make(call); }, next->call);
            const std::lock_guard lock{mutex_};
            bytes_ -= next->bytes;
        }
        return true;
    }
    [[nodiscard]] std::optional<Waiting> take() {
        const std::lock_guard lock{mutex_};
        if (ends_ || calls_.empty()) return std::nullopt;
        Waiting next = std::move(calls_.front());
        calls_.pop_front();
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
        part::LoadedRoom found = store_.load(call.id, subscriber_.serves(call.id));
        if (found) subscriber_.loaded(call.id);
        call.done(std::move(found));
    }
    void make(Flush& call) {
        PersistenceError error = store_.flush(call.changes);
        forget_turns(call.changes);
        // Redis does not report a lost history, so the subscriptions of these rooms read again.
        for (const auto& [id, code] : error.rooms) subscriber_.changed(id);
        call.done(std::move(error));
    }
    void make(Save& call) {
        PersistenceError error = store_.save(call.id, call.snapshot, call.covers);
        // The entries that the snapshot would cover may be lost.
        if (error.code == RoomErrc::stale_snapshot) subscriber_.changed(call.id);
        call.done(std::move(error));
    }
    void make(List& call) {
        if (call.done.wanted()) call.done(store_.list(call.after, call.count));
    }
    void make(Publish& call) { store_.publish(call.id, call.message); }
    void make(Subscribe& call) { subscriber_.subscribe(call.id, call.from, std::move(call.done)); }

    static constexpr int calls_per_turn = 100;

    const redis::RoomsOptions options_;
    RedisRoomStore store_;
    RedisRoomSubscriber subscriber_;
    posix::detail::WakeupFd wakeup_{};
    std::mutex mutex_{};
    std::deque<Waiting> calls_{};
    std::size_t bytes_ = 0;
    bool ends_ = false;
    std::thread thread_{};
};

}}}  // namespace belay::detail
