// SPDX-License-Identifier: MIT
/// \file belay/room/on_thread.hpp
/// OnThread: runs a blocking persistence of rooms on a thread of its own. visit_metrics for what
/// waits for that thread.
#pragma once

#include <concepts>            // std::copyable
#include <condition_variable>  // std::condition_variable
#include <cstddef>             // std::size_t
#include <cstdint>             // std::uint64_t
#include <deque>               // std::deque
#include <functional>          // std::less
#include <map>                 // std::map
#include <memory>              // std::unique_ptr
#include <mutex>               // std::mutex
#include <optional>            // std::optional
#include <span>                // std::span
#include <string>              // std::string
#include <string_view>         // std::string_view
#include <thread>              // std::thread
#include <type_traits>         // std::conditional_t, std::type_identity
#include <utility>             // std::declval, std::exchange, std::move
#include <vector>              // std::vector

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/metrics/metric.hpp>
#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/detail/subscription_thread.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of what may wait for the thread of an OnThread. A call that would exceed one of them
/// is answered `storage_busy`.
struct OnThreadOptions {
    /// The maximum number of calls.
    std::size_t calls_max = 100'000;
    /// The maximum number of bytes of the updates in these calls. The snapshots have a second limit
    /// of the same size for themselves, so that they do not take the space of updates. If no update
    /// waits, one of any length is accepted; likewise a snapshot.
    std::size_t bytes_max = std::size_t{64} << 20;
    /// The maximum number of calls for one room, so that calls of other rooms find space. From
    /// calls_max on, a room has no share of its own; likewise bytes_per_room_max.
    std::size_t calls_per_room_max = 50'000;
    /// The maximum number of bytes of the updates of one room, and of its snapshots. If no update
    /// of the room waits, one of any length is accepted within bytes_max; likewise a snapshot. The
    /// default is RoomOptions::unflushed_bytes_max, so that a room exceeds it only if the storage
    /// has not taken what a failed flush dropped.
    std::size_t bytes_per_room_max = std::size_t{32} << 20;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    /// Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (calls_max == 0 || calls_per_room_max == 0)
            return "OnThreadOptions: calls_max and calls_per_room_max must be > 0";
        return {};
    }
};

/// The calls and messages that wait for the threads of an OnThread, and the messages that limits
/// have dropped.
struct OnThreadQueue {
    std::size_t calls = 0;           ///< calls that wait, without the one that is under way
    std::size_t update_bytes = 0;    ///< the updates of all calls, with the one that is under way
    std::size_t snapshot_bytes = 0;  ///< their snapshots
    std::size_t messages = 0;        ///< messages that wait to be published
    std::size_t message_bytes = 0;   ///< their bytes
    std::uint64_t messages_dropped = 0;  ///< messages that were not published
    std::uint64_t messages_unread = 0;   ///< messages that arrived, and that no subscription read
};

namespace detail {

/// The bytes of a call, or of several calls.
struct CallBytes {
    CallBytes& operator+=(const CallBytes& more) noexcept {
        updates += more.updates;
        snapshots += more.snapshots;
        return *this;
    }
    CallBytes& operator-=(const CallBytes& less) noexcept {
        updates -= less.updates;
        snapshots -= less.snapshots;
        return *this;
    }
    /// Whether there is space in addition to `held`, within `most` of each kind. A call longer than
    /// the limit would be rejected for ever, so it is accepted if `held` has nothing of its kind.
    [[nodiscard]] bool fits(const CallBytes& held, std::size_t most) const noexcept {
        const auto one = [most](std::size_t bytes, std::size_t others) {
            return bytes == 0 || others == 0 || (others <= most && bytes <= most - others);
        };
        return one(updates, held.updates) && one(snapshots, held.snapshots);
    }

    std::size_t updates = 0;
    std::size_t snapshots = 0;
};

/// Whether a call has an answer of its own. A change has none: the next flush reports its error.
enum class CallKind : bool { change, answered };

/// Calls in their order, within the limits of an OnThreadOptions: of all rooms, and of each room. A
/// call that is under way does not count as a call, but its bytes count until it is done.
///
/// A change waits for the flush after it, so that both wake the thread once. Many changes, or long
/// ones, do not wait, because the thread processes them while the caller makes others. Nor do
/// changes that use half of a limit, so that the thread makes space for others.
///
/// Complexity:    O(log rooms with calls).   Throws: std::bad_alloc, in `push` only.
/// Thread safety: none; OnThread locks it.
template <class Call>
class CallQueue {
    /// The calls of a room that wait, those that are under way, and the bytes of all of them.
    struct OfRoom {
        std::size_t calls = 0;
        std::size_t under_way = 0;
        CallBytes bytes{};
    };
    using Rooms = std::map<std::string, OfRoom, std::less<>>;

public:
    /// How a call counts.
    struct Place {
        CallBytes size{};
        typename Rooms::iterator room{};
    };
    /// A call that was taken from the queue. When it has ended, pass its place to `done`.
    struct Taken {
        Call call;
        Place place;
    };

    explicit CallQueue(const OnThreadOptions& options) : options_{options} {}
    CallQueue(const CallQueue&) = delete;
    CallQueue& operator=(const CallQueue&) = delete;

    /// Whether the limits allow one more call. An empty `id` is a call for all rooms, which has no
    /// share.
    [[nodiscard]] bool takes(std::string_view id, const CallBytes& size) const noexcept {
        if (calls_.size() >= options_.calls_max || !size.fits(bytes_, options_.bytes_max))
            return false;
        const auto room = rooms_.find(id);
        return id.empty() || room == rooms_.end() ||
               (room->second.calls < options_.calls_per_room_max &&
                size.fits(room->second.bytes, options_.bytes_per_room_max));
    }
    /// Queues a call.   Returns: whether the thread should be woken for the calls that wait.
    [[nodiscard]] bool push(Call call, std::string_view id, const CallBytes& size, CallKind kind) {
        auto at = rooms_.find(id);
        if (at == rooms_.end()) at = rooms_.emplace(id, OfRoom{}).first;
        calls_.push_back({std::move(call), {size, at}});
        OfRoom& room = at->second;
        ++room.calls;
        room.bytes += size;
        bytes_ += size;
        return kind == CallKind::answered || calls_.size() >= waiting_max ||
               bytes_.updates >= waiting_bytes_max || is_half_full(room);
    }
    [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
    /// Takes the first call, which is under way now.   Pre: not empty.
    [[nodiscard]] Taken pop() {
        Taken first = std::move(calls_.front());
        calls_.pop_front();
        --first.place.room->second.calls;
        ++first.place.room->second.under_way;
        return first;
    }
    /// The call that was taken last has ended.
    void done(const Place& place) noexcept {
        OfRoom& room = place.room->second;
        bytes_ -= place.size;
        room.bytes -= place.size;
        --room.under_way;
        if (room.calls == 0 && room.under_way == 0) rooms_.erase(place.room);
    }
    /// Returns the number of rooms with calls that wait or are under way.
    [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }
    /// Returns the number of calls that wait.
    [[nodiscard]] std::size_t calls() const noexcept { return calls_.size(); }
    /// Returns the bytes of the calls that wait or are under way.
    [[nodiscard]] const CallBytes& bytes() const noexcept { return bytes_; }

    /// The changes that wait for a flush are fewer than this, and have fewer bytes.
    static constexpr std::size_t waiting_max = 16;
    static constexpr std::size_t waiting_bytes_max = std::size_t{16} << 10;

private:
    /// Whether half of a limit is used: of all rooms, or of this one.
    [[nodiscard]] bool is_half_full(const OfRoom& room) const noexcept {
        return is_half(calls_.size(), options_.calls_max) ||
               is_half(room.calls, options_.calls_per_room_max) ||
               is_half(bytes_.updates, options_.bytes_max) ||
               is_half(room.bytes.updates, options_.bytes_per_room_max);
    }
    [[nodiscard]] static bool is_half(std::size_t used, std::size_t most) noexcept {
        return used >= most - most / 2;
    }

    const OnThreadOptions options_;
    std::deque<Taken> calls_{};
    Rooms rooms_{};
    CallBytes bytes_{};
};

/// A persistence that has a status, as a plain value.
template <class P>
concept HasStatus = requires(P& p) {
    { p.status() } -> std::copyable;
};
/// The type of the status; an empty one without.
template <class P>
struct StatusOf {
    struct type {};
};
template <HasStatus P>
struct StatusOf<P> {
    using type = decltype(std::declval<P&>().status());
};

/// The subscriptions of a storage that no other server shares.
struct NoSubscriptions {
    template <class P>
    NoSubscriptions(P&, const MessageLimits&) noexcept {}
};
template <class P>
using SubscriptionsOf =
    typename std::conditional_t<BlockingFanoutLike<P>, std::type_identity<SubscriptionThread<P>>,
                                std::type_identity<NoSubscriptions>>::type;

/// The calls of an OnThread that a FanoutLike has, and another persistence has not.
template <class P>
class FanoutOnThread {};
template <BlockingFanoutLike P>
class FanoutOnThread<P> {
public:
    /// Sends a message to the servers that are subscribed to a room.
    ///
    /// Messages delay no call. While they wait, a message about a client replaces the one before,
    /// and above 1,000 messages or 1 MiB the oldest one of the room is dropped.
    void publish(std::string_view id, BytesView message) {
        if (is_room_id(id)) subscriptions_->publish(id, message);
    }
    /// Completes `done` once, when the room has changes after the position `from` of the history
    /// `epoch`, or messages.   Errors: bad_room_id; those of P.
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        if (is_room_id(id))
            return subscriptions_->subscribe(id, {epoch, from, true}, std::move(done));
        done(Result<part::FanoutBatch, PersistenceError>{
            PersistenceError{RoomErrc::bad_room_id, {}, {}}});
    }

protected:
    SubscriptionsOf<P>* subscriptions_ = nullptr;
};

}  // namespace detail

/// Runs a blocking persistence on a thread of its own, call by call, in their order.
///
///     auto rooms = posix::JournalRooms::open("boards", std::move(*log));
///     OnThread persistence{std::move(*rooms)};
///
/// No call waits for that thread. A change wakes the thread together with the flush after it, or
/// when 16 calls, 16 KiB of updates or half of a limit wait. If the persistence rejects a `reset`,
/// `append` or `erase`, the next flush reports the error and names the rooms. If too much waits, of
/// all rooms or of one room, calls are answered `storage_busy`.
///
/// A BlockingFanoutLike becomes a FanoutLike. A second thread waits for its subscription, and
/// publishes messages.
///
/// The destructor waits for the call in progress, without a limit of time, and drops the others
/// with their Completions. To complete all calls, flush first and wait for the answer. A process
/// that must not wait for a disk ends by std::_Exit.
///
/// Models:        PersistenceLike, with `rooms_to_save`; FanoutLike if P is a BlockingFanoutLike.
/// Thread safety: one thread at a time, except for `status`, `queue` and `rooms_to_save`, which any
///                thread may call. Completions are answered on the persistence's thread.
/// Blocks:        only in its destructor.   Throws: std::bad_alloc. If P throws, the program ends.
/// Memory:        the calls that wait.
/// Complexity:    O(log rooms with calls that wait), and the bytes of the call.
template <class P>
class OnThread : public detail::FanoutOnThread<P> {
    static constexpr bool is_shared = BlockingFanoutLike<P>;
    // Static assertions and no constraint: a compiler's message about a failed constraint would
    // hide the sentence.
    static_assert(explain::persistence_like<P>());
    static_assert(!FanoutLike<P>,
                  "OnThread: P must not be a FanoutLike, whose calls do not block; pass P to "
                  "RoomManager directly");
    static_assert(BlockingFanoutLike<P> || !detail::HasSubscription<P>,
                  "OnThread: P has a subscription, and needs begin and append of FanoutLike");

public:
    /// P must answer inside its calls. A call that it has not answered when it returns has failed:
    /// the error is no_answer, with a sentence, and a later answer is ignored.
    /// Pre: options.check() is empty.
    explicit OnThread(P persistence, OnThreadOptions options = {})
        : work_{std::make_unique<Work>(std::move(persistence), checked(options))} {
        work_->thread = std::thread{[work = work_.get()] { work->run(); }};
        if constexpr (is_shared) this->subscriptions_ = &work_->subscriptions;
        if constexpr (is_shared) work_->subscriptions.start();
    }
    OnThread(OnThread&&) noexcept = default;
    OnThread& operator=(OnThread&&) noexcept = default;
    ~OnThread() = default;

    /// Loads a room.   Errors: storage_busy; those of P.
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        ask(id, {}, std::move(done),
            [](P& p, const std::string& room, auto answer) { p.load(room, std::move(answer)); });
    }
    /// Appends an update to a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change = {}) {
        return stage(detail::StagedChange::append(id, update, change));
    }
    /// Begins the history of a room anew.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return stage(detail::StagedChange::reset(id, epoch));
    }
    /// Begins a history, unless another server has begun one.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again)
        requires is_shared
    {
        return stage(detail::StagedChange::begin(id, epoch, again));
    }
    /// Erases a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return stage(detail::StagedChange::erase(id));
    }
    /// Makes all changes before it durable.
    /// Errors: storage_busy; the first error of a change before it; those of P.
    void flush(Completion<part::FlushedRooms> done) {
        ask({}, {}, std::move(done),
            [](P& p, const std::string&, auto answer) { p.flush(std::move(answer)); });
    }
    /// Saves a snapshot of a room.   Errors: storage_busy; those of P.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        Size size;
        for (const Bytes& part : snapshot) size.snapshots += part.size();
        // Before it is copied.
        if (!work_->takes(id, size)) return done(busy());
        ask(id, size, std::move(done),
            [parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()), covers](
                P& p, const std::string& room, auto answer) {
                p.save(room, parts, covers, std::move(answer));
            });
    }
    /// Lists stored rooms.   Errors: storage_busy; those of P.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        ask({}, {}, std::move(done),
            [begin = std::string{after}, count](P& p, const std::string&, auto answer) {
                p.list(begin, count, std::move(answer));
            });
    }
    /// Returns what P's `rooms_to_save` returned after its last flush or save, or returns now if
    /// servers share P; no room if P has no `rooms_to_save`.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const { return work_->rooms_to_save(); }
    /// Returns what P's `status` returned after its last flush or save, or when this was made. If
    /// servers share P, returns its present status. Any thread may call it, for as long as this is
    /// neither moved nor destroyed.
    [[nodiscard]] auto status() const
        requires detail::HasStatus<P>
    {
        return work_->status();
    }
    /// Returns what waits for the threads. Any thread may call it, as `status`.
    [[nodiscard]] OnThreadQueue queue() const { return work_->queue(); }

private:
    using Size = detail::CallBytes;
    using Kind = detail::CallKind;

    /// The state that both threads use, and the code that the other thread runs.
    class Work {
    public:
        Work(P persistence, const OnThreadOptions& options)
            : persistence_{std::move(persistence)},
              subscriptions{persistence_,
                            {1'000, std::size_t{1} << 20, options.calls_max, options.bytes_max}},
              calls_{options} {
            note_status();
        }
        Work(const Work&) = delete;
        Work& operator=(const Work&) = delete;
        ~Work() {
            {
                const std::lock_guard lock{mutex_};
                ends_ = true;
            }
            changed_.notify_one();
            if constexpr (is_shared) subscriptions.end();
            if (thread.joinable()) thread.join();
        }

        // ---- the user's thread ------------------------------------------------------------------

        /// Whether the limits allow one more call. An empty `id` is a call for all rooms. If not,
        /// the changes that wait are made now, so that there is space later without a flush.
        [[nodiscard]] bool takes(std::string_view id, const Size& size) {
            bool takes = false;
            {
                const std::lock_guard lock{mutex_};
                takes = calls_.takes(id, size);
            }
            if (!takes) changed_.notify_one();
            return takes;
        }
        void post(detail::Function<void(Work&)> call, std::string_view id, const Size& size,
                  Kind kind) {
            bool wakes = false;
            {
                const std::lock_guard lock{mutex_};
                wakes = calls_.push(std::move(call), id, size, kind);
            }
            if (wakes) changed_.notify_one();
        }
        [[nodiscard]] auto status() {
            if constexpr (is_shared) return persistence_.status();
            const std::lock_guard lock{mutex_};
            return *status_;
        }
        [[nodiscard]] OnThreadQueue queue() {
            OnThreadQueue queue;
            if constexpr (is_shared) subscriptions.count(queue);
            const std::lock_guard lock{mutex_};
            queue.calls = calls_.calls();
            queue.update_bytes = calls_.bytes().updates;
            queue.snapshot_bytes = calls_.bytes().snapshots;
            return queue;
        }
        [[nodiscard]] std::vector<std::string> rooms_to_save() {
            if constexpr (is_shared && detail::HasRoomsToSave<P>)
                return persistence_.rooms_to_save();
            const std::lock_guard lock{mutex_};
            return rooms_to_save_;
        }

        // ---- the other --------------------------------------------------------------------------

        void run() {
            std::unique_lock lock{mutex_};
            for (;;) {
                changed_.wait(lock, [this] { return ends_ || !calls_.empty(); });
                if (ends_) return;
                typename Queue::Place place;
                {
                    // It ends without the lock, because it may drop its Completion.
                    typename Queue::Taken next = calls_.pop();
                    lock.unlock();
                    next.call(*this);
                    place = next.place;
                }
                lock.lock();
                calls_.done(place);
            }
        }

        void make(const detail::StagedChange& change) {
            if (const std::error_code error = carry_out(change)) {
                if (rejected_.empty()) first_rejection_ = error;
                rejected_.try_emplace(change.id, error);
            }
        }
        /// Makes a call that P answers inside of it. A call that is not a flush is skipped if its
        /// answer is not wanted any more. If P drops its Completion, the caller's is dropped, too.
        template <class V, class F>
        void make(const std::string& id, Completion<V>& done, F& call) {
            if (!std::is_same_v<V, part::FlushedRooms> && !done.wanted()) return;
            driver::Question<V> asked;
            call(persistence_, id, asked.ask());
            // No call waits for a later answer: its caller would wait for ever.
            std::optional<V> answer{
                PersistenceError{RoomErrc::no_answer,
                                 {},
                                 "OnThread: the persistence must answer inside its calls, and has "
                                 "not answered when the call returned"}};
            if (asked.answered()) answer = asked.take();
            if (!answer) return;
            take(id, *answer);
            done(std::move(*answer));
        }

        std::thread thread{};

    private:
        using Status = typename detail::StatusOf<P>::type;
        using Queue = detail::CallQueue<detail::Function<void(Work&)>>;

        [[nodiscard]] std::error_code carry_out(const detail::StagedChange& change) {
            using What = detail::StagedChange::Kind;
            if (change.kind == What::erase) return persistence_.erase(change.id);
            if (change.kind == What::reset) return persistence_.reset(change.id, change.epoch);
            if constexpr (is_shared) {
                if (change.kind == What::begin)
                    return persistence_.begin(change.id, change.epoch, change.again);
                return persistence_.append(change.id, change.update, change.change);
            } else {
                return persistence_.append(change.id, change.update);
            }
        }
        void take(const std::string&, part::FlushedRooms& flushed) {
            add_rejected(flushed);
            if constexpr (is_shared) {
                for (const auto& [id, code] : flushed.error.rooms) subscriptions.changed(id);
            }
            note_rooms_to_save();
            note_status();
        }
        void take(const std::string& id, const PersistenceError& saved) {
            // The entries that the snapshot would cover may be lost.
            if constexpr (is_shared) {
                if (saved.code == RoomErrc::stale_snapshot) subscriptions.changed(id);
            }
            note_rooms_to_save();
            note_status();
        }
        static void take(const std::string&, const part::LoadedRoom&) noexcept {}
        static void take(const std::string&, const part::ListedRooms&) noexcept {}
        /// Adds the rooms of rejected changes, which are not stored, to the error of a flush. An
        /// error that names no rooms concerns all of them, so none is added to it.
        void add_rejected(part::FlushedRooms& flushed) {
            std::erase_if(flushed.positions,
                          [this](const auto& one) { return rejected_.contains(one.first); });
            PersistenceError& error = flushed.error;
            const bool others = error && error.rooms.empty();
            if (!error && !rejected_.empty())
                error = PersistenceError{first_rejection_, {}, "the persistence rejected a change"};
            for (auto& [id, why] : std::exchange(rejected_, {})) {
                if (!others) error.rooms.emplace_back(id, why);
            }
        }
        void note_rooms_to_save() {
            if constexpr (!is_shared && detail::HasRoomsToSave<P>) {
                std::vector<std::string> rooms = persistence_.rooms_to_save();
                const std::lock_guard lock{mutex_};
                rooms_to_save_ = std::move(rooms);
            }
        }

        void note_status() {
            if constexpr (!is_shared && detail::HasStatus<P>) {
                Status status = persistence_.status();
                const std::lock_guard lock{mutex_};
                status_.emplace(std::move(status));
            }
        }

        // Used by the other thread and the destructor.
        P persistence_;

    public:
        detail::SubscriptionsOf<P> subscriptions;  // it ends before the persistence

    private:
        std::map<std::string, std::error_code> rejected_{};  // since the last flush
        std::error_code first_rejection_{};
        // Used by both threads.
        std::mutex mutex_{};
        std::condition_variable changed_{};
        Queue calls_;
        std::vector<std::string> rooms_to_save_{};
        std::optional<Status> status_{};
        bool ends_ = false;
    };

    [[nodiscard]] static PersistenceError busy() { return {RoomErrc::storage_busy, {}, {}}; }
    [[nodiscard]] std::error_code stage(detail::StagedChange change) {
        if (!detail::is_room_id(change.id)) return RoomErrc::bad_room_id;
        const Size size{.updates = change.update.size()};
        if (!work_->takes(change.id, size)) return RoomErrc::storage_busy;
        const std::string id = change.id;
        work_->post([change = std::move(change)](Work& work) { work.make(change); }, id, size,
                    Kind::change);
        return {};
    }
    /// Queues a call that has an answer: `call(P&, id, Completion<V>)`.
    template <class V, class F>
    void ask(std::string_view id, const Size& size, Completion<V> done, F call) {
        if (!work_->takes(id, size)) return done(V{busy()});
        work_->post([room = std::string{id}, done = std::move(done),
                     call = std::move(call)](Work& work) mutable { work.make(room, done, call); },
                    id, size, Kind::answered);
    }
    [[nodiscard]] static const OnThreadOptions& checked(const OnThreadOptions& o) {
        detail::expect_options(o.check(),
                               {{"calls_max", std::uint64_t{o.calls_max}},
                                {"bytes_max", std::uint64_t{o.bytes_max}},
                                {"calls_per_room_max", std::uint64_t{o.calls_per_room_max}},
                                {"bytes_per_room_max", std::uint64_t{o.bytes_per_room_max}}});
        return o;
    }

    std::unique_ptr<Work> work_;
};

namespace metrics {

/// Passes the numbers of an OnThread's queue to `visitor(const Metric&)`; the part is
/// "storage_thread".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const OnThreadQueue& queue, Visitor&& visitor) {
    const auto gauge = [&visitor](const char* name, std::size_t value, const char* help) {
        detail::visit_gauge("storage_thread", name, help, value, visitor);
    };
    gauge("waiting", queue.calls, "Calls of the storage that wait for its thread.");
    gauge("update_bytes", queue.update_bytes, "Bytes of updates that are not stored yet.");
    gauge("snapshot_bytes", queue.snapshot_bytes, "Bytes of snapshots that are not stored yet.");
    gauge("messages", queue.messages, "Messages that wait to be published.");
    gauge("message_bytes", queue.message_bytes, "Bytes of these messages.");
    constexpr detail::Row<OnThreadQueue> counters[] = {
        {"messages_dropped", &OnThreadQueue::messages_dropped,
         "Messages that a limit dropped before they were published."},
        {"messages_unread", &OnThreadQueue::messages_unread,
         "Messages that arrived, and that a limit dropped."}};
    detail::visit_rows({.part = "storage_thread"}, queue, counters, visitor);
}

/// Passes the numbers of the queue of an OnThread.
///
/// Thread safety: any thread.
template <class P, class Visitor>
void visit_metrics(const OnThread<P>& persistence, Visitor&& visitor) {
    visit_metrics(persistence.queue(), visitor);
}

}  // namespace metrics

}}  // namespace belay
