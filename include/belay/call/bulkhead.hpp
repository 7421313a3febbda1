// SPDX-License-Identifier: MIT
/// \file belay/call/bulkhead.hpp
/// Bulkhead: limits concurrent calls, so that one slow peer cannot block everything.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/call/detail/wait_queue.hpp>
#include <belay/call/permit_counters.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Bulkhead.
struct BulkheadOptions {
    /// The most calls at once.
    std::uint32_t limit;
    /// The number of callers that may wait for a permit in addition to those; see Queued.
    std::uint32_t queue = 0;
    /// The wait after which a rejected caller may ask again.
    Duration ask_every = std::chrono::milliseconds{5};
};

/// Counts the calls that are under way, and rejects those beyond the limit.
///
///     Bulkhead bulkhead{{.limit = 8, .queue = 100}};
///     if (auto permit = bulkhead.acquire(clock.now())) send();
///
/// As the layer `Shared{bulkhead}` it rejects at once. As `Queued{bulkhead}` in a Pipeline, callers
/// wait in the order in which they arrived. A permit that is given back goes to the first of them,
/// and no caller overtakes another. The verdict on a permit does not matter: each verdict ends it.
/// A Bulkhead cannot be copied or moved, and must outlive its permits and the callers that wait.
///
/// Its limit may be changed while callers run and wait. Callers in its queue see the change at
/// once.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free while no caller waits. Everything that a call did happens
///                before the next call in its place.
/// Blocks:        a caller that enters the queue, or wakes a caller from it, for a few instructions
///                of another caller, and for those that the sleeper needs to wake a caller.
/// Complexity:    O(1).   Allocates: never.
class Bulkhead {
    struct NoPermitData {};

public:
    static constexpr std::string_view name = "Bulkhead";

    /// The right to make one call, while the permit lives.
    using Permit = detail::BudgetPermit<Bulkhead, NoPermitData>;

    /// Pre: limit >= 1, ask_every > 0ns.
    constexpr explicit Bulkhead(BulkheadOptions options) noexcept
        : options_{options}, limit_{options.limit} {
        BELAY_OPTION(options.limit >= 1, "Bulkhead: limit must be >= 1");
        BELAY_OPTION(options.ask_every.count() > 0, "Bulkhead: ask_every must be > 0ns");
    }
    /// Does not compile, because the options have a name for the limit.
    template <std::integral Limit, std::integral... Queue>
    constexpr explicit Bulkhead(Limit, Queue...) noexcept : Bulkhead{BulkheadOptions{.limit = 1}} {
        static_assert(!std::integral<Limit>,
                      "Bulkhead: write the limit with its name: Bulkhead{{.limit = 8}}");
    }
    Bulkhead(const Bulkhead&) = delete;
    Bulkhead& operator=(const Bulkhead&) = delete;

    /// Requests a permit for a call.
    /// Errors: a rejected permit; its retry_at() is when to ask again.
    [[nodiscard]] Permit acquire(Instant now) noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        if (take(seen)) return granted();
        counters_.reject();
        return Permit{next_try(now)};
    }
    /// Requests a permit for a call at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Counts an attempt that a Shared rule's check of this bulkhead rejected.
    void rejected() noexcept { counters_.reject(); }

    /// Returns whether a call would be let through, and takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return can_take(word_.load(std::memory_order_relaxed)) ? Advice::go()
                                                               : Advice::suspend(next_try(now));
    }

    /// Returns `ask_every`, over which Shared rules spread the callers that wait.   Errors: none.
    [[nodiscard]] Duration spread() const noexcept { return options_.ask_every; }

    /// Changes how many calls may run at once.
    ///
    /// Callers in the queue take the new places at once, in their order. Calls that run above a
    /// lower limit finish, and no caller takes their places.
    ///
    /// Pre: most >= 1. A number above 2^32 - 1 means that.   Errors: none.
    /// Complexity: O(callers that it wakes).
    /// Source: resilience4j's `Bulkhead.changeConfig`.
    void set_limit(detail::AnyCount<std::uint32_t> most) noexcept {
        const std::uint32_t limit = most;
        BELAY_OPTION(limit >= 1, "Bulkhead::set_limit: limit must be >= 1");
        const detail::SpinLock lock{mutex_};
        limit_.store(limit, std::memory_order_relaxed);
        // While a caller waits, the word changes only under the lock.
        Word seen = word_.load(std::memory_order_relaxed);
        while (waiting_of(seen) != 0 && running_of(seen) < limit) {
            seen = word_.fetch_sub(one_waits - 1, std::memory_order_relaxed) - (one_waits - 1);
            call_first();
        }
    }
    /// Returns how many calls may run at once now.
    [[nodiscard]] std::uint32_t limit() const noexcept {
        return limit_.load(std::memory_order_relaxed);
    }

    /// Returns the number of calls under way, plus woken callers that have not begun.
    [[nodiscard]] std::uint32_t running() const noexcept {
        return running_of(word_.load(std::memory_order_relaxed));
    }
    /// Returns the number of callers in the queue.
    [[nodiscard]] std::uint32_t waiting() const noexcept {
        return waiting_of(word_.load(std::memory_order_relaxed));
    }
    /// Returns the counts, which are exact when no caller asks; numbers may lag behind each other.
    /// Errors: none.
    [[nodiscard]] PermitCounters counters() const noexcept { return counters_.read(); }

private:
    friend Permit;
    template <class Object>
    friend class Queued;

    using Answer = detail::WaitAnswer;
    using WaitState = Answer::WaitState;

    // A caller that waits in the queue. Its destructor leaves the queue, and passes on what it was
    // given.
    class Waiter {
    public:
        explicit Waiter(Bulkhead& bulkhead) noexcept : bulkhead_{bulkhead} {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            if (has_queued_) bulkhead_.leave(ticket_);
        }

        /// Requests a permit, first without waiting.
        [[nodiscard]] Answer ask(Instant now, Permit& permit) noexcept {
            return has_queued_ ? bulkhead_.ask_again(ticket_, permit)
                               : bulkhead_.enqueue(*this, now, permit);
        }
        [[nodiscard]] detail::LocalStop& wake() noexcept { return ticket_.wake; }

    private:
        friend Bulkhead;
        Bulkhead& bulkhead_;
        detail::WaitTicket ticket_;
        bool has_queued_ = false;
    };

    // The number of waiting callers, above the number of running ones. It is one word, so that a
    // caller that gives a permit back sees whether another one waits for it.
    // Invariant: a call begins only below the limit, so while it does not change, never more than
    // `limit` run, not even for a moment. While a caller waits, at least `limit` run, except under
    // the lock of set_limit. The number of waiting callers, and the limit, change only under the
    // lock.
    using Word = std::uint64_t;
    static constexpr Word one_waits = Word{1} << 32;
    [[nodiscard]] static constexpr std::uint32_t running_of(Word word) noexcept {
        return static_cast<std::uint32_t>(word);
    }
    [[nodiscard]] static constexpr std::uint32_t waiting_of(Word word) noexcept {
        return static_cast<std::uint32_t>(word >> 32);
    }

    [[nodiscard]] bool can_take(Word seen) const noexcept {
        return waiting_of(seen) == 0 && running_of(seen) < limit();
    }
    // Acquire pairs with the release of the permit whose place this is.
    [[nodiscard]] bool take(Word& seen) noexcept {
        while (can_take(seen)) {
            if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] Permit granted() noexcept {
        counters_.admit();
        return Permit{*this, NoPermitData{}};
    }
    [[nodiscard]] Instant next_try(Instant now) const noexcept {
        return detail::after_time(now, options_.ask_every);
    }

    [[nodiscard]] Answer enqueue(Waiter& waiter, Instant now, Permit& permit) noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        for (bool has_lock = false;; has_lock = true) {
            if (take(seen)) {
                if (has_lock) mutex_.unlock();
                permit = granted();
                return {WaitState::granted};
            }
            if (waiting_of(seen) >= options_.queue) {
                if (has_lock) mutex_.unlock();
                counters_.reject();
                return {WaitState::rejected, next_try(now)};
            }
            if (!has_lock) {
                // The limit may have grown since the last look at it.
                mutex_.lock();
                seen = word_.load(std::memory_order_relaxed);
                continue;
            }
            // After this exchange, all places are still taken, so a caller that gives one back sees
            // the waiting one.
            if (word_.compare_exchange_strong(seen, seen + one_waits, std::memory_order_relaxed)) {
                break;
            }
        }
        waiters_.join(waiter.ticket_);
        waiter.has_queued_ = true;
        mutex_.unlock();
        counters_.wait();
        return {WaitState::waits};
    }
    [[nodiscard]] Answer ask_again(detail::WaitTicket& ticket, Permit& permit) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!ticket.is_called) return {WaitState::waits};
        ticket.is_called = false;
        permit = granted();
        return {WaitState::granted};
    }
    void leave(detail::WaitTicket& ticket) noexcept {
        bool was_given = false;
        {
            const detail::SpinLock lock{mutex_};
            was_given = ticket.is_called;
            if (ticket.is_queued) {
                waiters_.leave(ticket);
                word_.fetch_sub(one_waits, std::memory_order_relaxed);
                counters_.leave();
            }
        }
        if (was_given) {
            counters_.leave();
            release();
        }
    }

    void on_success(NoPermitData, Instant) noexcept { release(); }
    void on_failure(NoPermitData, Instant) noexcept { release(); }
    void on_rejected(NoPermitData, Instant) noexcept { release(); }
    void on_neutral(NoPermitData) noexcept { release(); }
    void release() noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        while (waiting_of(seen) == 0) {
            if (end_one(seen)) return;
        }
        const detail::SpinLock lock{mutex_};
        seen = word_.load(std::memory_order_relaxed);
        // The caller that waited may have left.
        while (waiting_of(seen) == 0) {
            if (end_one(seen)) return;
        }
        if (running_of(seen) > limit()) {
            word_.fetch_sub(1, std::memory_order_release);
            return;
        }
        word_.fetch_sub(one_waits, std::memory_order_relaxed);
        call_first();
    }
    // Gives a place to the first caller in the queue, which the word already counts.
    void call_first() noexcept {
        detail::WaitTicket& first = *waiters_.first();
        waiters_.call_first();
        waiters_.leave(first);
    }
    [[nodiscard]] bool end_one(Word& seen) noexcept {
        return word_.compare_exchange_weak(seen, seen - 1, std::memory_order_release,
                                           std::memory_order_relaxed);
    }

    const BulkheadOptions options_;
    std::atomic<std::uint32_t> limit_;
    std::atomic<Word> word_{0};
    detail::AtomicPermitCounters counters_;
    detail::SpinMutex mutex_;
    detail::WaitQueue waiters_;  // under mutex_
    detail::AnswerTime answer_time_;
};

}}  // namespace belay
