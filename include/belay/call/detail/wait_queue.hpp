// SPDX-License-Identifier: MIT
/// \file belay/call/detail/wait_queue.hpp
/// WaitQueue: callers who wait for a permit, in the order in which they came.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/instant.hpp>
#include <belay/core/stop_source.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One who waits: on the stack of a caller that blocks, or in the frame of a coroutine. Pinned.
struct WaitTicket {
    WaitTicket* next = nullptr;
    WaitTicket* previous = nullptr;
    bool is_queued = false;
    /// Whether it was called: it has what it waits for, or is the first now.
    bool is_called = false;
    /// Wakes it.
    LocalStop wake;

    WaitTicket() noexcept = default;
    WaitTicket(const WaitTicket&) = delete;
    WaitTicket& operator=(const WaitTicket&) = delete;
};

/// First come, first served. All under the lock of who owns it.
class WaitQueue {
public:
    constexpr WaitQueue() noexcept = default;

    [[nodiscard]] constexpr WaitTicket* first() const noexcept { return first_; }

    void join(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(!ticket.is_queued, "WaitQueue::join: nobody waits twice");
        ticket.previous = last_;
        ticket.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &ticket;
        last_ = &ticket;
        ticket.is_queued = true;
    }
    void leave(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(ticket.is_queued, "WaitQueue::leave: it must be in the line");
        (ticket.previous != nullptr ? ticket.previous->next : first_) = ticket.next;
        (ticket.next != nullptr ? ticket.next->previous : last_) = ticket.previous;
        ticket.is_queued = false;
    }
    /// Wakes who is first. It cannot go before the lock is released, since it leaves under it.
    void call_first() noexcept {
        if (first_ == nullptr || first_->is_called) return;
        first_->is_called = true;
        first_->wake.request_stop();
    }

private:
    WaitTicket* first_ = nullptr;
    WaitTicket* last_ = nullptr;
};

/// What who waits learns, each time that it asks.
struct WaitAnswer {
    enum class WaitState : std::uint8_t {
        granted,  ///< it has its permit
        waits,    ///< until it is woken
        first,    ///< until `wake_at`; it will not be woken
        refused,  ///< there is no place; ask again at `wake_at`
        hopeless  ///< it asks for more than there can ever be
    };
    WaitState state;
    Instant wake_at = belay::never;
    /// It cannot be earlier, as things stand.
    Instant earliest = always;
};

/// Lets a stop of the caller's wake it in the line: with a StopToken at once, with any other token
/// by asking it. Pinned.
template <StopTokenLike Stop>
class WaitStop {
public:
    WaitStop(const Stop&, LocalStop&) noexcept {}
    WaitStop(const WaitStop&) = delete;
    WaitStop& operator=(const WaitStop&) = delete;
    /// What wakes who is not to be woken otherwise.
    [[nodiscard]] static StopToken token_of(const Stop&) noexcept { return {}; }
    /// Until when to sleep at a time.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): from the earlier to the later
    [[nodiscard]] static Instant slice(Instant now, Instant until) noexcept {
        const Instant next = after(now, ask_every);
        return next < until ? next : until;
    }

private:
    static constexpr Duration ask_every = std::chrono::milliseconds{10};
};
template <>
class WaitStop<NeverStops> {
public:
    WaitStop(const NeverStops&, LocalStop&) noexcept {}
    [[nodiscard]] static StopToken token_of(const NeverStops&) noexcept { return {}; }
    [[nodiscard]] static Instant slice(Instant, Instant until) noexcept { return until; }
};
template <>
class WaitStop<StopToken> {
public:
    WaitStop(const StopToken& stop, LocalStop& wake) noexcept : waiter_{stop, &relay, &wake} {}
    [[nodiscard]] static StopToken token_of(const StopToken& stop) noexcept { return stop; }
    [[nodiscard]] static Instant slice(Instant, Instant until) noexcept { return until; }

private:
    static void relay(void* wake) noexcept { static_cast<LocalStop*>(wake)->request_stop(); }

    part::StopWaiter waiter_;
};

}}}  // namespace belay::detail
