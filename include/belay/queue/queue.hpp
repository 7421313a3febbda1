// SPDX-License-Identifier: MIT
/// \file belay/queue/queue.hpp
/// Queue: work that waits, in any storage, within a limit.
#pragma once

#include <concepts>     // std::default_initializable
#include <optional>     // std::optional
#include <type_traits>  // std::is_void_v
#include <utility>      // std::forward, std::move

#include <belay/core/order.hpp>
#include <belay/queue/leasable_like.hpp>
#include <belay/queue/overflow_like.hpp>

namespace belay::inline BELAY_ABI {

/// How a Queue is set up.
struct QueueOptions {
    /// The most values that wait at a time; the storage's capacity where that is smaller.
    std::size_t limit = 1000;
};

/// What `Queue::drain` did.
struct DrainResult {
    /// Values that were executed and are gone.
    std::size_t drained = 0;
    /// Why it stopped before the end; no error if it did not.
    std::error_code error;
};

namespace detail {

template <class S, class V>
concept TakesPush = requires(S& s, V&& value) { s.try_push(static_cast<V&&>(value)); };

/// The error, if any, that an answer of a storage or of an executor stands for.
template <class Answer>
[[nodiscard]] std::error_code error_of(const Answer& answer, QueueErrc if_false) {
    if constexpr (std::same_as<Answer, bool>) {
        return answer ? std::error_code{} : make_error_code(if_false);
    } else if constexpr (std::convertible_to<const Answer&, std::error_code>) {
        return answer;
    } else {
        return answer.has_value() ? std::error_code{} : std::error_code{answer.error()};
    }
}

/// Calls something, and gives the error that its answer stands for; none for void.
template <class Call>
[[nodiscard]] std::error_code error_of_call(QueueErrc if_false, Call&& call) {
    if constexpr (std::is_void_v<decltype(call())>) {
        call();
        return {};
    } else {
        return error_of(call(), if_false);
    }
}

/// Why `front` lent nothing.
template <class Front>
[[nodiscard]] std::error_code why_nothing(const Front& front) noexcept {
    if constexpr (requires { std::error_code{front.error()}; }) {
        if (front.error()) return front.error();
    }
    return make_error_code(QueueErrc::queue_empty);
}

/// Gives what was lent back, unless the loan ended otherwise: also when the executor throws.
template <class Storage>
struct Lease {
    explicit Lease(Storage& s) noexcept : storage{s} {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (!ended) static_cast<void>(storage.nack());
    }

    Storage& storage;
    bool ended = false;
};

}  // namespace detail

/// A bounded queue over any storage.
///
/// It adds to a storage a limit and what happens at it, `suspend`, and `drain`; nothing else: what
/// the storage can do beyond is reached through `storage()`.
///
/// Thread safety: distinct objects safe; one queue is for one thread, whatever its storage allows.
template <StorageLike Storage, OverflowLike Overflow = Reject>
class Queue {
public:
    using value_type = typename Storage::value_type;
    using storage_type = Storage;
    /// Whether values that were taken may be dropped; a Session refuses such queues.
    static constexpr bool drops = Overflow::drops;

    /// Pre: options.limit > 0.
    Queue(Storage storage, QueueOptions options, Overflow overflow)
        : storage_{std::move(storage)},
          overflow_{std::move(overflow)},
          limit_{detail::smaller(options.limit, storage_.capacity())} {
        BELAY_PRECONDITION(limit_ > 0, "Queue::Queue: the limit must be > 0");
    }
    // Templates, so that Clang 14 leaves them alone where they cannot be.
    template <class O = Overflow>
        requires std::default_initializable<O>
    explicit Queue(Storage storage, QueueOptions options = {})
        : Queue{std::move(storage), options, O{}} {}
    template <class S = Storage, class O = Overflow>
        requires std::default_initializable<S> && std::default_initializable<O>
    Queue() : Queue{S{}, QueueOptions{}, O{}} {}

    /// Adds a value at the back. What was not taken is left as it was.
    ///
    /// Errors:     queue_suspended; at the limit those of `Overflow`; those of the storage.
    /// Throws:     what copying the value, or the overflow policy, throws.
    /// Complexity: that of the storage.
    template <class V = value_type>
        requires detail::TakesPush<Storage, V>
    [[nodiscard]] std::error_code push(V&& value) {
        if (suspended_) return make_error_code(QueueErrc::queue_suspended);
        if (full()) {
            if (const std::error_code error = overflow_.make_room(*this)) return error;
            // Whoever made the room may have suspended the queue.
            if (suspended_) return make_error_code(QueueErrc::queue_suspended);
        }
        return detail::error_of(storage_.try_push(std::forward<V>(value)), QueueErrc::queue_full);
    }

    /// Takes the oldest value; nothing if there is none, or while the queue is drained.
    [[nodiscard]] std::optional<value_type> pop() {
        return draining_ ? std::nullopt : storage_.try_pop();
    }

    /// Executes what waits, in order, and removes each value that was executed. It stops at the
    /// first failure, and that value stays the first.
    ///
    /// `executor(value)` answers void (done), bool, std::error_code, or what has `has_value()` and
    /// `error()`. It may push: what is pushed meanwhile waits for the next drain.
    ///
    /// Errors:     in the result: what the executor answered (executor_failed for false); draining,
    ///             from inside an executor; those of the storage.
    /// Throws:     what the executor throws; its value stays the first.
    /// Complexity: at most `most` calls, and at most as many as values waited at the start.
    template <class Executor>
        requires LeasableLike<Storage>
    DrainResult drain(Executor&& executor, std::size_t most = no_limit) {
        if (draining_) return {0, make_error_code(QueueErrc::draining)};
        const Draining scope{*this};
        DrainResult result;
        most = detail::smaller(most, storage_.size());
        while (result.drained < most && !result.error) {
            result.error = drain_one(executor);
            if (!result.error) ++result.drained;
        }
        return result;
    }

    /// Refuses pushes from now on; what waits can still be taken.
    void suspend() noexcept { suspended_ = true; }
    void resume() noexcept { suspended_ = false; }
    [[nodiscard]] bool suspended() const noexcept { return suspended_; }

    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    [[nodiscard]] bool empty() const noexcept { return storage_.size() == 0; }
    [[nodiscard]] bool full() const noexcept { return storage_.size() >= limit_; }
    [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

    [[nodiscard]] Storage& storage() noexcept { return storage_; }
    [[nodiscard]] const Storage& storage() const noexcept { return storage_; }

    /// Drops the oldest value after `report(value)` has seen it. For overflow policies.
    ///
    /// Errors: queue_full while the queue is drained, or if the storage lends nothing.
    template <class Report>
    [[nodiscard]] std::error_code drop_oldest(Report&& report) {
        if (draining_) return make_error_code(QueueErrc::queue_full);
        std::optional<value_type> dropped = storage_.try_pop();
        if (!dropped) return make_error_code(QueueErrc::queue_full);
        report(std::move(*dropped));
        return {};
    }

private:
    struct Draining {
        explicit Draining(Queue& q) noexcept : queue{q} { queue.draining_ = true; }
        Draining(const Draining&) = delete;
        Draining& operator=(const Draining&) = delete;
        ~Draining() { queue.draining_ = false; }
        Queue& queue;
    };

    template <class Executor>
    std::error_code drain_one(Executor& executor) {
        auto&& front = storage_.front();
        if (!front) return detail::why_nothing(front);
        detail::Lease lease{storage_};
        const std::error_code error = detail::error_of_call(
            QueueErrc::executor_failed, [&]() -> decltype(auto) { return executor(*front); });
        if (error) return error;
        lease.ended = true;
        return detail::error_of_call(QueueErrc::queue_empty, [&] { return storage_.ack(); });
    }

    Storage storage_;
    [[no_unique_address]] Overflow overflow_;
    std::size_t limit_;
    bool suspended_ = false;
    bool draining_ = false;
};

template <class Storage>
Queue(Storage) -> Queue<Storage>;
template <class Storage>
Queue(Storage, QueueOptions) -> Queue<Storage>;
template <class Storage, class Overflow>
Queue(Storage, QueueOptions, Overflow) -> Queue<Storage, Overflow>;

}  // namespace belay::inline BELAY_ABI
