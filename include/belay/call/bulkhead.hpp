// SPDX-License-Identifier: MIT
/// \file belay/call/bulkhead.hpp
/// Bulkhead: at most so many calls at once, so that one slow peer cannot take everything down.
#pragma once

#include <atomic>       // std::atomic
#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// What a Bulkhead may be told.
struct BulkheadOptions {
    /// Calls at once.
    std::uint32_t limit;
    /// Callers that may wait for their turn, beyond those; see Queued.
    std::uint32_t queue = 0;
    /// How often those ask again.
    Duration ask_every = std::chrono::milliseconds{5};
};

/// Counts calls that are under way, and refuses those beyond the limit.
///
///     Bulkhead bulkhead{{.limit = 8, .queue = 100}};
///     if (auto permit = bulkhead.acquire(clock.now())) send();
///
/// As `Shared{bulkhead}` it refuses at once, as `Queued{bulkhead}` in a Pipeline callers wait. A
/// permit's verdict does not matter: any ends it.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free. What a call did happens before what the next one in its
///                place does.
/// Complexity:    O(1).   Allocates: never.
class Bulkhead {
    struct NoStake {};

public:
    static constexpr std::string_view name = "Bulkhead";

    /// The right to make one call, while it lives.
    using Permit = detail::BudgetPermit<Bulkhead, NoStake>;

    /// A place in the queue, while it lives.   Thread safety: distinct objects safe.
    class [[nodiscard]] Place {
    public:
        /// None.
        Place() noexcept = default;
        Place(Place&& other) noexcept : bulkhead_{std::exchange(other.bulkhead_, nullptr)} {}
        Place& operator=(Place&& other) noexcept {
            leave();
            bulkhead_ = std::exchange(other.bulkhead_, nullptr);
            return *this;
        }
        ~Place() { leave(); }

        /// Gives it up.
        void leave() noexcept {
            if (bulkhead_ == nullptr) return;
            std::exchange(bulkhead_, nullptr)->waiting_.fetch_sub(1, std::memory_order_relaxed);
        }
        /// Whether there was room.
        [[nodiscard]] explicit operator bool() const& noexcept { return bulkhead_ != nullptr; }
        /// A place that nobody holds is given up at once.
        explicit operator bool() const&& = delete;

    private:
        friend Bulkhead;
        explicit Place(Bulkhead* bulkhead) noexcept : bulkhead_{bulkhead} {}
        Bulkhead* bulkhead_ = nullptr;
    };

    /// Pre: limit >= 1, ask_every > 0ns.
    constexpr explicit Bulkhead(BulkheadOptions options) noexcept : options_{options} {
        BELAY_PRECONDITION(options.limit >= 1, "Bulkhead: limit must be >= 1");
        BELAY_PRECONDITION(options.ask_every.count() > 0, "Bulkhead: ask_every must be > 0ns");
    }
    Bulkhead(const Bulkhead&) = delete;
    Bulkhead& operator=(const Bulkhead&) = delete;

    /// Asks to make a call.   Errors: a refused permit; its retry_at() is when to ask again.
    [[nodiscard]] Permit acquire(Instant now) noexcept {
        return take(running_, options_.limit) ? Permit{*this, NoStake{}} : Permit{next_try(now)};
    }
    /// The same at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Would a call be let through? Takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return running() < options_.limit ? Advice::go() : Advice::suspend(next_try(now));
    }

    /// Asks for a place in the queue; who waits there asks for permits from time to time.
    [[nodiscard]] Place line_up() noexcept {
        return Place{take(waiting_, options_.queue) ? this : nullptr};
    }
    /// When who waits asks again.
    [[nodiscard]] Instant next_try(Instant now) const noexcept {
        return after(now, options_.ask_every);
    }

    /// Calls that are under way.
    [[nodiscard]] std::uint32_t running() const noexcept {
        return running_.load(std::memory_order_relaxed);
    }
    /// Callers in the queue.
    [[nodiscard]] std::uint32_t waiting() const noexcept {
        return waiting_.load(std::memory_order_relaxed);
    }

private:
    friend Permit;

    // Invariant: the count never exceeds the limit, not even for a moment, so it is not added to
    // before it was read. Acquire pairs with the release of the permit whose place this is.
    [[nodiscard]] static bool take(std::atomic<std::uint32_t>& count,
                                   std::uint32_t limit) noexcept {
        std::uint32_t seen = count.load(std::memory_order_relaxed);
        while (seen < limit) {
            if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }
    void on_success(NoStake, Instant) noexcept { release(); }
    void on_failure(NoStake, Instant) noexcept { release(); }
    void on_neutral(NoStake) noexcept { release(); }
    void release() noexcept { running_.fetch_sub(1, std::memory_order_release); }

    const BulkheadOptions options_;
    std::atomic<std::uint32_t> running_{0};
    std::atomic<std::uint32_t> waiting_{0};
};

}  // namespace belay::inline BELAY_ABI
