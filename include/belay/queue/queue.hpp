// SPDX-License-Identifier: MIT
/// \file belay/queue/queue.hpp
/// Queue: work that waits, in any storage, within a limit. QueueCounters is an observer that counts
/// what happens to it.
/// OldestAge: measures how long the first value of a queue has waited, from samples of the queue.
#pragma once

#include <array>  // std::array
#include <concepts>
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_reference_t
#include <utility>       // std::forward, std::move

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The result of `Queue::drain`.
struct DrainReport {
    /// Values that were executed, and removed without an error. If a removal fails, one more was
    /// executed.
    std::size_t drained = 0;
    /// Why it stopped before the end; no error if it did not.
    std::error_code error{};
};

namespace detail {

BELAY_DETAIL_HOOK(OnPopped, on_popped);
BELAY_DETAIL_HOOK(OnDrained, on_drained);
BELAY_DETAIL_HOOK(OnReleased, on_released);

/// The hook on_dropped receives the dropped value: a stored one, or the pushed one. The pushed one
/// is passed as it was pushed, if the observer accepts that.
template <class Q, class V>
struct DroppedHook : Hook<OnDropped, Q, V> {
    using Stored = Hook<OnDropped, Q, V>;
    template <class O, class B>
    static constexpr void call(O& o, Q& queue, B&& dropped) {
        using AsPushed = Hook<OnDropped, Q, B>;
        if constexpr (AsPushed::template callable_on<O>) {
            AsPushed::call(o, queue, static_cast<B&&>(dropped));
        } else if constexpr (std::constructible_from<V, B>) {
            Stored::call(o, queue, V(dropped));
        } else if constexpr (requires { V(dropped.begin(), dropped.end()); }) {
            Stored::call(o, queue, V(dropped.begin(), dropped.end()));
        } else {
            Stored::call(o, queue, static_cast<B&&>(dropped));
        }
    }
};

/// The hooks that a queue Q of V calls.
template <class Q, class V>
struct QueueHooks {
    using Pushed = Hook<OnPushed, Q, std::size_t>;
    using Rejected = Hook<OnRejected, Q, const std::error_code&>;
    using Dropped = DroppedHook<Q, V>;
    using Popped = Hook<OnPopped, Q, std::size_t>;
    using Drained = Hook<OnDrained, Q, const DrainReport&>;
    using Released = Hook<OnReleased, Q, std::size_t, std::size_t>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Pushed::template right<O>,
                      "Queue: the observer's on_pushed must be 'on_pushed(std::size_t)', or have "
                      "'const auto& queue' in front of that");
        static_assert(Rejected::template right<O>,
                      "Queue: the observer's on_rejected must be 'on_rejected(const "
                      "std::error_code&)', or have 'const auto& queue' in front of that");
        static_assert(Dropped::template right<O>,
                      "Queue: the observer's on_dropped must be 'on_dropped(value_type)', or have "
                      "'const auto& queue' in front of that");
        static_assert(Popped::template right<O>,
                      "Queue: the observer's on_popped must be 'on_popped(std::size_t) noexcept', "
                      "or have 'const auto& queue' in front of that");
        static_assert(Popped::template never_throws<O>(),
                      "Queue: the observer's on_popped must be noexcept");
        static_assert(Drained::template right<O>,
                      "Queue: the observer's on_drained must be 'on_drained(const "
                      "belay::DrainReport&) noexcept', or have 'const auto& queue' in front of "
                      "that");
        static_assert(Drained::template never_throws<O>(),
                      "Queue: the observer's on_drained must be noexcept");
        static_assert(Released::template right<O>,
                      "Queue: the observer's on_released must be 'on_released(std::size_t count, "
                      "std::size_t size)', or have 'const auto& queue' in front of that");
        static_assert(has_any_hook_of<O, Pushed, Rejected, Dropped, Popped, Drained, Released>,
                      "Queue: the observer has no hook: it needs one of on_pushed, on_rejected, "
                      "on_dropped, on_popped, on_drained, on_released. Derive an observer without "
                      "hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

/// Counts what a queue does, from the queue's beginning.
///
///     Queue queue{Deque<Task>{}, Reject{}, {.limit = 100}, QueueCounters{}};
///     const QueueCounters before = queue.observer();
///
/// A copy is a snapshot: the difference of two, divided by the time between them, is a rate. Other
/// values have their own sources:
/// - how many values wait now: `queue.size()`;
/// - how many bytes wait, if the storage counts them: `queue.bytes()`;
/// - how long the first value has waited: an OldestAge.
///
/// Models:        an observer of Queue.
/// Thread safety: that of the queue.   Errors: none; no count overflows in practice.
struct QueueCounters {
    /// Values that the queue took.
    std::uint64_t pushed = 0;
    /// Pushes that were rejected.
    std::uint64_t rejected = 0;
    /// Values that the overflow policy dropped: old ones, or the pushed one.
    std::uint64_t dropped = 0;
    /// Values that `pop` returned.
    std::uint64_t popped = 0;
    /// Values that were executed.
    std::uint64_t drained = 0;
    /// Values that a Session delivered, or that an Outbox removed from a journal.
    std::uint64_t released = 0;
    /// Drains that ended with an error, or by an exception.
    std::uint64_t failed = 0;
    /// The most values that waited after a push.
    std::size_t deepest = 0;

    constexpr void on_pushed(std::size_t size) noexcept {
        ++pushed;
        if (size > deepest) deepest = size;
    }
    void on_rejected(const std::error_code&) noexcept { ++rejected; }
    constexpr void on_dropped(const auto&) noexcept { ++dropped; }
    constexpr void on_popped(std::size_t) noexcept { ++popped; }
    void on_drained(const DrainReport& result) noexcept {
        drained += result.drained;
        if (result.error) ++failed;
    }

    constexpr void on_released(std::size_t count, std::size_t) noexcept { released += count; }

    friend constexpr bool operator==(const QueueCounters&, const QueueCounters&) noexcept = default;
};

/// The options of a Queue.
struct QueueOptions {
    /// A limit that was not given: 1000 values, or none if `bytes_limit` is given.
    static constexpr std::size_t default_limit = no_limit - 1;

    /// The most values that wait at a time; the storage's capacity if that is smaller.
    /// How many values may wait. > 0.
    std::size_t limit = default_limit;
    /// The queue is also full if its storage has this number of bytes. It needs a storage that
    /// counts them, and its own cost for each value: `bytes() const noexcept`. A push that crosses
    /// the limit is still taken, and so is a push into an empty queue. A journal frees bytes by
    /// whole files, so the limit must be at least two of its segments.
    std::size_t bytes_limit = no_limit;
};

/// A bounded queue over any storage.
///
/// It adds to a storage a limit with an overflow policy, `suspend`, `drain`, and an observer. For
/// everything else that the storage can do, use `storage()`. The storage decides what happens to
/// the values when the queue is destroyed: a durable one closes in order.
///
/// The observer may have any of these hooks, each also with `const auto& queue` as the first
/// parameter. The queue calls a hook after the change:
///
/// - `on_pushed(std::size_t size)`: a value was taken; `size` wait now.
/// - `on_rejected(const std::error_code& why)`: a push was rejected.
/// - `on_dropped(value)`: the overflow policy dropped a value, an old one or the pushed one. The
///   value exists nowhere else; the hook may move it away.
/// - `on_popped(std::size_t size) noexcept`: `pop` took a value; `size` are left.
/// - `on_drained(const DrainReport&) noexcept`: a drain has ended, also by an exception.
/// - `on_released(std::size_t count, std::size_t size)`: code that works on the storage itself,
///   such as a Session, is done with the first `count` values; `size` are left.
///
/// Hooks may read the queue, and must not change it. An exception of a hook leaves the call that
/// ran it; the change before it remains. Two hooks must not throw: `pop` would lose its value, and
/// a drain may have ended by an exception already.
///
/// Thread safety: distinct objects safe; one queue is for one thread, even if its storage allows
///                more.
template <class Storage, class Overflow = Reject, class Observer = NoObserver>
class Queue {
    // Not constraints, because the compiler's message for a failed one would hide the sentences.
    static_assert(explain::storage_like<Storage>());
    static_assert(!std::convertible_to<Overflow, QueueOptions> && !std::is_arithmetic_v<Overflow>,
                  "Queue: pass the overflow policy before the options, and a limit as an option: "
                  "Queue{storage, {.limit = 10}}, or Queue{storage, DropOldest{}, {.limit = 10}}");
    static_assert(explain::overflow_like<Overflow>());
    static constexpr bool counts_bytes = detail::CountsBytes<Storage>;

public:
    using value_type = typename Storage::value_type;
    using storage_type = Storage;
    /// Whether a value may be dropped although its push returned no error; a Session rejects such
    /// queues.
    static constexpr bool drops = Overflow::drops;

    /// Pre: options.limit > 0; options.bytes_limit > 0, and no_limit if the storage counts no
    ///      bytes.
    Queue(Storage storage, Overflow overflow, QueueOptions options = {},
          Observer observer = Observer())
        : storage_{std::move(storage)},
          overflow_{std::move(overflow)},
          observer_{std::move(observer)},
          limit_{detail::smaller(limit_of(options), storage_.capacity())},
          bytes_limit_{options.bytes_limit} {
        BELAY_OPTION(limit_ > 0, "Queue::Queue: the limit must be > 0");
        BELAY_OPTION(bytes_limit_ > 0, "Queue::Queue: the limit of bytes must be > 0");
        BELAY_OPTION(counts_bytes || bytes_limit_ == no_limit,
                     "Queue::Queue: a limit of bytes needs a storage with 'bytes()'");
        // With less, DropOldest would drop all that waits at each push, and free nothing.
        if constexpr (detail::FreesSegments<Storage>) {
            BELAY_OPTION(
                bytes_limit_ / 2 >= storage_.segment_bytes(),
                "Queue::Queue: a limit of bytes must be at least two segments of the journal, "
                "which frees whole files: see JournalOptions::segment_bytes");
        }
        static_assert(detail::explain_observer<Hooks, Observer>());
    }
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, QueueOptions>)
    Queue(Storage storage, Overflow overflow, O&& observer)
        : Queue{std::move(storage), std::move(overflow), QueueOptions{},
                std::forward<O>(observer)} {}
    // Templates, so that Clang 14 ignores them if they are not possible.
    template <class O = Overflow>
        requires std::default_initializable<O> && std::default_initializable<Observer>
    explicit Queue(Storage storage, QueueOptions options = {})
        : Queue{std::move(storage), O{}, options} {}
    template <class S = Storage, class O = Overflow>
        requires std::default_initializable<S> && std::default_initializable<O> &&
                 std::default_initializable<Observer>
    Queue() : Queue{S{}, O{}} {}

    /// Adds a value at the back. A value that was not taken is unchanged.
    ///
    /// Errors:     queue_suspended; at the limit those of `Overflow`; those of the storage.
    /// Throws:     what copying the value, the overflow policy, or the observer throws.
    /// Complexity: that of the storage.
    template <class V = value_type>
        requires detail::TakesPush<Storage, V>
    [[nodiscard]] std::error_code push(V&& value) {
        if (suspended_) return rejected(make_error_code(QueueErrc::queue_suspended));
        if (full()) {
            Space<V> space{*this, value};
            if (const std::error_code error = overflow_.make_space(space)) return rejected(error);
            if (space.newest_dropped()) return {};
            // The policy that made capacity may have suspended the queue.
            if (suspended_) return rejected(make_error_code(QueueErrc::queue_suspended));
        }
        const std::error_code error =
            detail::error_of(storage_.try_push(std::forward<V>(value)), QueueErrc::queue_full);
        if (error) return rejected(error);
        if (draining_) ++pushed_meanwhile_;
        if constexpr (has_hook<typename Hooks::Pushed>) {
            detail::notify<typename Hooks::Pushed>(observer_, *this, size());
        }
        return error;
    }

    /// Adds a text as bytes.
    template <detail::TextForBytes<value_type> T>
        requires(!detail::TakesPush<Storage, const T&>)
    [[nodiscard]] std::error_code push(const T& text) {
        const BytesView bytes = as_bytes(std::string_view{text});
        if constexpr (detail::TakesPush<Storage, BytesView>) {
            return push(bytes);
        } else {
            return push(to_bytes(bytes));
        }
    }

    /// Takes the oldest value; nothing if there is none, or while the queue is drained.
    [[nodiscard]] std::optional<value_type> pop() {
        if constexpr (has_hook<typename Hooks::Popped>) {
            std::optional<value_type> value = take();
            if (value) detail::notify<typename Hooks::Popped>(observer_, *this, size());
            return value;
        } else {
            return take();
        }
    }

    /// Executes the waiting values in order, and removes each value that was executed.
    ///
    /// It stops at the first failure, and that value stays the first.
    ///
    /// `executor(value)` returns void (done), bool, std::error_code, or a type with `has_value()`
    /// and `error()`. It may push: pushed values wait for the next drain. Over a Priority, a pushed
    /// value may go before others, and then as many of the others wait for the next drain.
    ///
    /// Errors:     in the result: the executor's error (executor_failed for false); draining, from
    ///             inside an executor; those of the storage.
    /// Throws:     what the executor throws; its value stays the first.
    /// Complexity: at most `most` calls, and at most as many as values waited at the start.
    template <class Executor>
        requires LeasableLike<Storage>
    [[nodiscard]] DrainReport drain(Executor&& executor, std::size_t most = no_limit) {
        if (draining_) return {0, make_error_code(QueueErrc::draining)};
        draining_ = true;
        pushed_meanwhile_ = 0;
        DrainReport result;
        bool executing = false;  // at the end: an exception passes
        const detail::ScopeExit drained{[&] {
            draining_ = false;
            if constexpr (has_hook<typename Hooks::Drained>) {
                if (executing) result.error = make_error_code(QueueErrc::executor_failed);
                detail::notify<typename Hooks::Drained>(observer_, *this, result);
            }
        }};
        most = detail::smaller(most, storage_.size());
        while (result.drained < most && !result.error) {
            executing = true;
            const bool was_there = drain_one(executor, result.error);
            executing = false;
            if (!was_there) break;
            if (!result.error) ++result.drained;
        }
        return result;
    }

    /// Notifies the observer that the first `count` values are gone without a pop.
    ///
    /// For code that acknowledges in the storage itself, as a Session does.
    /// Throws: what the observer throws.
    void notify_released(std::size_t count) {
        if constexpr (has_hook<typename Hooks::Released>) {
            detail::notify<typename Hooks::Released>(observer_, *this, count, size());
        }
    }

    /// While true, neither pop() nor the overflow policy takes the oldest value, as in a drain.
    ///
    /// For code that works with that value in the storage itself, as an Outbox does.
    void hold_oldest(bool held) noexcept { held_ = held; }

    /// Rejects pushes from now on; waiting values can still be taken.
    void suspend() noexcept { suspended_ = true; }
    /// Accepts pushes again.
    void resume() noexcept { suspended_ = false; }
    /// Returns whether suspend() rejects pushes.
    [[nodiscard]] bool suspended() const noexcept { return suspended_; }

    /// Makes pushes and removals durable, by the storage's `flush()`, else by its `commit()`.
    ///
    /// Destroying the queue needs no flush. If you must know that it worked, call flush before.
    ///
    /// Errors: those of the storage.   Blocks: on the disk.
    template <class S = Storage>
        requires detail::HasFlush<S> || detail::HasStorageCommit<S>
    [[nodiscard]] std::error_code flush() noexcept {
        if constexpr (detail::HasFlush<S>) {
            return storage_.flush();
        } else {
            return storage_.commit();
        }
    }
    /// Returns whether `flush` would have something to do.
    template <class S = Storage>
        requires FlushableLike<S>
    [[nodiscard]] bool unflushed() const noexcept {
        return storage_.unflushed();
    }

    /// Returns the number of waiting values.
    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    /// Returns whether no value waits.
    [[nodiscard]] bool empty() const noexcept { return storage_.size() == 0; }
    /// Returns the bytes of the waiting values, as the storage counts them.
    template <class S = Storage>
        requires detail::CountsBytes<S>
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return storage_.bytes();
    }
    /// Returns whether the limit, or the capacity of the storage, is reached.
    [[nodiscard]] bool full() const noexcept {
        const std::size_t waiting = storage_.size();
        if constexpr (counts_bytes) {
            // An empty queue takes a value. Otherwise a storage that frees its bytes late would
            // never take one again.
            if (waiting != 0 && bytes_limit_ != no_limit && storage_.bytes() >= bytes_limit_) {
                return true;
            }
        }
        return waiting >= limit_;
    }
    /// Returns how many values may wait.
    [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

    /// Returns the storage.
    [[nodiscard]] Storage& storage() noexcept { return storage_; }
    /// Returns the storage.
    [[nodiscard]] const Storage& storage() const noexcept { return storage_; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    [[nodiscard]] auto& observer() const noexcept { return detail::unwrap(observer_); }

private:
    [[nodiscard]] static constexpr std::size_t limit_of(const QueueOptions& options) noexcept {
        if (options.limit != QueueOptions::default_limit) return options.limit;
        return options.bytes_limit == no_limit ? 1000 : no_limit;
    }

    using Hooks = detail::QueueHooks<const Queue, value_type>;
    template <class Hook>
    static constexpr bool has_hook = detail::has_hook_of<Hook, Observer>;

    /// A push that found the queue full, as the overflow policy sees it.
    template <class V>
    class Space {
    public:
        Space(Queue& queue, std::remove_reference_t<V>& value) noexcept
            : queue_{queue}, value_{value} {}
        Space(const Space&) = delete;
        Space& operator=(const Space&) = delete;

        [[nodiscard]] bool full() const noexcept { return queue_.full(); }
        [[nodiscard]] std::error_code drop_oldest() {
            std::optional<value_type> dropped = queue_.take();
            if (!dropped) return make_error_code(QueueErrc::queue_full);
            queue_.dropped(std::move(*dropped));
            return {};
        }
        void drop_newest() {
            newest_dropped_ = true;
            queue_.dropped(std::forward<V>(value_));
        }
        [[nodiscard]] bool newest_dropped() const noexcept { return newest_dropped_; }

    private:
        Queue& queue_;
        std::remove_reference_t<V>& value_;
        bool newest_dropped_ = false;
    };

    template <class Executor>
    bool drain_one(Executor& executor, std::error_code& error) {
        auto&& front = storage_.front();
        if (!front) {
            error = detail::why_nothing(front);
            // The values that waited at the start may have gone elsewhere: to dead letters, for
            // example.
            const bool is_over = error == QueueErrc::queue_empty && storage_.size() == 0;
            if (is_over) error = {};
            return !is_over;
        }
        // Returns the value to the storage, also if the executor throws.
        detail::ScopeExit lease{[this] { static_cast<void>(storage_.nack()); }};
        // Some values that waited at the start may have become dead letters, and this one came
        // after them. Checked only if that is possible, because size() may be a call to a server.
        if (pushed_meanwhile_ != 0 && storage_.size() <= pushed_meanwhile_) return false;
        static_assert(
            requires { executor(*front); },
            "Queue::drain: the executor must accept what front() of the storage leases, which is "
            "belay::BytesView for a Journal");
        error = detail::error_of_call(QueueErrc::executor_failed,
                                      [&]() -> decltype(auto) { return executor(*front); });
        if (error) return true;
        lease.release();
        error = detail::error_of_call(QueueErrc::queue_empty, [&] { return storage_.ack(); });
        return true;
    }

    [[nodiscard]] std::optional<value_type> take() {
        return draining_ || held_ ? std::nullopt : storage_.try_pop();
    }

    std::error_code rejected(const std::error_code& why) {
        detail::notify<typename Hooks::Rejected>(observer_, *this, why);
        return why;
    }
    template <class V>
    void dropped(V&& value) {
        detail::notify<typename Hooks::Dropped>(observer_, *this, std::forward<V>(value));
    }

    Storage storage_;
    [[no_unique_address]] Overflow overflow_;
    [[no_unique_address]] Observer observer_;
    std::size_t limit_;
    std::size_t bytes_limit_;
    bool suspended_ = false;
    bool draining_ = false;
    bool held_ = false;
    std::size_t pushed_meanwhile_ = 0;  // in a drain
};

template <class Storage>
Queue(Storage) -> Queue<Storage>;
template <class Storage>
Queue(Storage, QueueOptions) -> Queue<Storage>;
template <class Storage, class Overflow, class Observer>
    requires(!std::convertible_to<Observer, QueueOptions>)
Queue(Storage, Overflow, Observer) -> Queue<Storage, Overflow, Observer>;

/// Measures how long the oldest value of a first-in, first-out queue has waited.
///
/// It needs no timestamp on any value. Pushing and taking cost nothing, and the queue needs no
/// clock.
///
///     Queue queue{Deque<Task>{}, Reject{}, {}, QueueCounters{}};
///     OldestAge<> oldest;
///     // now and then, once per turn for example:
///     oldest.sample(now, queue.observer().pushed, queue.size());
///     if (oldest.age(now) > 5s) { ... }
///
/// It stores how many values had been pushed at some moments. The oldest of n values is the n-th
/// last that was pushed. It arrived after the last moment at which it was not there yet. So the
/// result is never too low. It is too high by at most the time between two samples. If a value
/// outlives many samples, it is too high by up to 6 / `Marks` of the longest wait. For values that
/// were there at the first sample, only the time since then is known.
///
/// Do not use it for queues in which values overtake others, such as a Priority.
///
/// Thread safety: that of the queue.   Allocates: never; 16 bytes for each mark.
/// Errors:        none.                Complexity: O(Marks) for a sample, O(1) for an age.
template <std::size_t Marks = 32>
class OldestAge {
    static_assert(Marks >= 4, "OldestAge: the number of marks must be >= 4");

public:
    /// Records the state of the queue: how many values were ever pushed, and how many wait.
    ///
    /// Pre: neither `now` nor `pushed` is less than at the last sample.
    constexpr void sample(Instant now, std::uint64_t pushed, std::size_t size) noexcept {
        BELAY_PRECONDITION(
            count_ == 0 || (now >= marks_[count_ - 1].at && pushed >= marks_[count_ - 1].pushed),
            "OldestAge::sample: the time and the count of pushes must not decrease");
        waits_ = size != 0;
        // The first mark at which the oldest value was there already.
        std::size_t there = 0;
        while (there < count_ && size <= pushed - marks_[there].pushed) ++there;
        forget(there == 0 ? 0 : there - 1);
        if (count_ == 0 || elapsed(marks_[count_ - 1].at, now) >= spacing_) add({pushed, now});
    }

    /// Returns how long the oldest value has waited; 0ns if there was none at the last sample.
    [[nodiscard]] constexpr Duration age(Instant now) const noexcept {
        return waits_ ? elapsed(marks_[0].at, now) : Duration::zero();
    }

private:
    struct Mark {
        std::uint64_t pushed = 0;
        Instant at{};
    };

    /// Forgets the first `many` marks.
    constexpr void forget(std::size_t many) noexcept {
        for (std::size_t i = many; i < count_; ++i) marks_[i - many] = marks_[i];
        count_ -= many;
        if (count_ <= Marks / 4) spacing_ /= 2;
    }
    constexpr void add(Mark mark) noexcept {
        if (count_ == Marks) {
            // Fewer marks with larger distances: at most Marks / 2 + 1 of such a distance fit.
            spacing_ = elapsed(marks_[0].at, mark.at) / static_cast<Duration::rep>(Marks / 2);
            count_ = 1;
            for (std::size_t i = 1; i < Marks; ++i) {
                const Duration apart = elapsed(marks_[count_ - 1].at, marks_[i].at);
                if (apart >= spacing_ && apart.count() != 0) marks_[count_++] = marks_[i];
            }
        }
        marks_[count_++] = mark;
    }

    std::array<Mark, Marks> marks_{};  // in order; the first is from before the oldest value
                                       // arrived
    std::size_t count_ = 0;
    Duration spacing_{};  // the least distance of marks
    bool waits_ = false;
};

}}  // namespace belay
