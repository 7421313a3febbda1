// SPDX-License-Identifier: MIT
/// \file belay/call/detail/wait_queue.hpp
/// WaitQueue: callers that wait for a permit, in order of arrival.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t, std::uint8_t
#include <limits>   // std::numeric_limits

#include <belay/core/instant.hpp>
#include <belay/core/stop_source.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The ticket of one waiting caller. It is on the stack of a blocking caller, or in the frame of a
/// coroutine. It cannot be moved.
struct WaitTicket {
    WaitTicket* next = nullptr;
    WaitTicket* previous = nullptr;
    bool is_queued = false;
    /// Whether the caller was woken: it has its permit, or is now first.
    bool is_called = false;
    /// Wakes the caller.
    LocalStop wake;

    WaitTicket() noexcept = default;
    WaitTicket(const WaitTicket&) = delete;
    WaitTicket& operator=(const WaitTicket&) = delete;
};

/// A first-in, first-out queue of tickets. Call every function under the lock of its owner.
class WaitQueue {
public:
    constexpr WaitQueue() noexcept = default;

    [[nodiscard]] constexpr WaitTicket* first() const noexcept { return first_; }

    void join(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(!ticket.is_queued, "WaitQueue::join: the waiter must not be in the queue");
        ticket.previous = last_;
        ticket.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &ticket;
        last_ = &ticket;
        ticket.is_queued = true;
    }
    void leave(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(ticket.is_queued, "WaitQueue::leave: the waiter must be in the queue");
        (ticket.previous != nullptr ? ticket.previous->next : first_) = ticket.next;
        (ticket.next != nullptr ? ticket.next->previous : last_) = ticket.previous;
        ticket.is_queued = false;
    }
    /// Wakes the first caller. Its ticket cannot disappear before the lock is released, because it
    /// leaves under the lock.
    void call_first() noexcept {
        if (first_ == nullptr || first_->is_called) return;
        first_->is_called = true;
        first_->wake.request_stop();
    }

    /// Wakes the first caller, also if it waits until its time has come, to ask again.
    void wake_first() noexcept {
        if (first_ == nullptr) return;
        first_->is_called = true;
        first_->wake.request_stop();
    }

private:
    WaitTicket* first_ = nullptr;
    WaitTicket* last_ = nullptr;
};

/// The state of a waiting caller, returned each time that it asks.
struct WaitAnswer {
    enum class WaitState : std::uint8_t {
        granted,   ///< it has its permit
        waits,     ///< it waits until it is woken
        first,     ///< it waits until `wake_at`, or until it is woken because the limit has changed
        rejected,  ///< the queue is full; ask again at `wake_at`
        hopeless   ///< it asks for more than there can ever be
    };
    WaitState state;
    Instant wake_at = belay::never;
    /// The earliest possible time, as things stand.
    Instant earliest = always;
};

/// The time that the calls of an object take, as far as their ends have shown. Lock-free.
///
/// It rises at once and falls slowly, so it stays near the longest of the recent calls. A call that
/// was late although it had only a part of its limit needs longer than that.
class AnswerTime {
public:
    /// Returns 0ns until a call has ended.
    [[nodiscard]] Duration recent() const noexcept {
        return Duration{Duration::rep{units_.load(std::memory_order_relaxed)} << unit_bits};
    }
    void answered(Duration took) noexcept {
        const Duration most = recent();
        store(took > most ? took : most - (most - took) / 8);
    }
    void cut_short(Duration had) noexcept {
        const Duration longer = had > forever / 2 ? forever : had + had / 4;
        if (longer > recent()) store(longer);
    }

private:
    // 65 microseconds, so that 32 bits last for 281 s.
    static constexpr int unit_bits = 16;

    // If two threads store at once, one of the calls has no effect.
    void store(Duration time) noexcept {
        constexpr Duration::rep most = std::numeric_limits<std::uint32_t>::max();
        const Duration::rep units = (time.count() >> unit_bits) + 1;
        units_.store(static_cast<std::uint32_t>(units < most ? units : most),
                     std::memory_order_relaxed);
    }

    std::atomic<std::uint32_t> units_{0};
};

/// Wakes a waiting caller when the caller's stop token requests a stop. A StopToken wakes it at
/// once; any other token is polled. It cannot be moved.
template <StopTokenLike Stop>
class WaitStop {
public:
    WaitStop(const Stop&, LocalStop&) noexcept {}
    WaitStop(const WaitStop&) = delete;
    WaitStop& operator=(const WaitStop&) = delete;
    /// Returns until when to sleep before the next poll of the token.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): from the earlier to the later
    [[nodiscard]] static Instant slice(Instant now, Instant until) noexcept {
        const Instant next = after_time(now, ask_every);
        return next < until ? next : until;
    }

private:
    static constexpr Duration ask_every = std::chrono::milliseconds{10};
};
template <>
class WaitStop<NeverStops> {
public:
    WaitStop(const NeverStops&, LocalStop&) noexcept {}
    [[nodiscard]] static Instant slice(Instant, Instant until) noexcept { return until; }
};
template <>
class WaitStop<StopToken> {
public:
    WaitStop(const StopToken& stop, LocalStop& wake) noexcept : waiter_{stop, &relay, &wake} {}
    [[nodiscard]] static Instant slice(Instant, Instant until) noexcept { return until; }

private:
    static void relay(void* wake) noexcept { static_cast<LocalStop*>(wake)->request_stop(); }

    part::StopWaiter waiter_;
};

}}}  // namespace belay::detail
