// SPDX-License-Identifier: MIT
/// \file belay/policy/breaker.hpp
/// Breaker: stops asking a peer that keeps failing, then probes it. A value, for one caller.
#pragma once

#include <concepts>  // std::copyable, std::same_as
#include <cstdint>   // std::uint8_t, std::uint32_t

#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// What a breaker lets through.
enum class BreakerState : std::uint8_t {
    closed,    ///< everything
    open,      ///< nothing, until the open wait is over
    half_open  ///< one probe, whose verdict closes or opens it again
};

/// How soon callers ask again that were refused because a probe is out: its end is not known.
inline constexpr Duration breaker_recheck = std::chrono::seconds{1};

/// Trips when so many failures came in a row.   Thread safety: a plain value.
class ConsecutiveFailures {
public:
    /// Pre: limit >= 1.
    constexpr explicit ConsecutiveFailures(std::uint32_t limit) noexcept : limit_{limit} {
        BELAY_PRECONDITION(limit >= 1, "ConsecutiveFailures: the limit must be >= 1");
    }

    /// One more; whether that was the last straw.
    [[nodiscard]] constexpr bool failed(Instant) noexcept {
        if (failures_ < limit_) ++failures_;
        return failures_ == limit_;
    }
    constexpr void succeeded(Instant) noexcept { failures_ = 0; }
    constexpr void reset() noexcept { failures_ = 0; }

    [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return limit_; }

private:
    std::uint32_t limit_;
    std::uint32_t failures_ = 0;
};

/// Every open wait lasts as long.   Thread safety: a plain value.
class OpenFor {
public:
    /// Pre: wait > 0ns.
    constexpr explicit OpenFor(Duration wait) noexcept : wait_{wait} {
        BELAY_PRECONDITION(wait.count() > 0, "OpenFor: the wait must be > 0ns");
    }
    [[nodiscard]] constexpr Duration next(Random&) const noexcept { return wait_; }
    [[nodiscard]] constexpr Duration wait() const noexcept { return wait_; }

private:
    Duration wait_;
};

namespace detail {
template <class T>
concept TripLike = std::copyable<T> && requires(T& trip, Instant now) {
    { trip.failed(now) } noexcept -> std::same_as<bool>;
    { trip.succeeded(now) } noexcept;
    { trip.reset() } noexcept;
};
template <class W>
concept OpenWaitLike = std::copyable<W> && requires(W& wait, Random& bits) {
    { wait.next(bits) } noexcept -> std::same_as<Duration>;
};
}  // namespace detail

/// A circuit breaker as a rule: closed, open, half-open.
///
/// While open it advises `suspend`; from `now >= open_until` on it lets one probe through. A probe
/// that fails opens it again, one that succeeds closes it, one that is abandoned leaves it as it
/// was. `begin` without asking `admit` first, while open, is a forced probe. Planned failures are
/// no verdict. The end of a connection that had succeeded is none either: there is no `lost` hook.
///
///     Breaker{ConsecutiveFailures{5}, OpenFor{300s}}
///
/// An open wait may also be a Backoff, which grows from one reopening to the next.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe; for many callers there is CircuitBreaker.
/// Source:        M. Nygard, "Release It!" (2007), the Circuit Breaker pattern.
template <detail::TripLike Trip = ConsecutiveFailures, detail::OpenWaitLike OpenWait = OpenFor>
class Breaker {
public:
    static constexpr std::string_view name = "Breaker";

    constexpr Breaker(Trip trip, OpenWait open_wait) noexcept
        : trip_{trip}, open_wait_{open_wait} {}

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        if (mode_ == Mode::closed) return Advice::go();
        if (mode_ == Mode::probing) return Advice::suspend(after(now, breaker_recheck));
        return now >= open_until_ ? Advice::go() : Advice::suspend(open_until_);
    }
    constexpr void begin(Turn&) noexcept {
        if (mode_ == Mode::open) mode_ = Mode::probing;
    }
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (failure.cause == Cause::planned) {
            abandoned(turn);
        } else if (mode_ == Mode::probing || (mode_ == Mode::closed && trip_.failed(turn.now))) {
            mode_ = Mode::open;
            open_until_ = after(turn.now, open_wait_.next(turn.bits));
        }
        return admit(turn.now);
    }
    constexpr void succeeded(Turn& turn) noexcept {
        if (mode_ == Mode::closed) {
            trip_.succeeded(turn.now);
        } else if (mode_ == Mode::probing) {
            mode_ = Mode::closed;
            trip_.reset();
            if constexpr (requires { open_wait_.reset(); }) open_wait_.reset();
        }
    }
    constexpr void abandoned(Turn&) noexcept {
        if (mode_ == Mode::probing) mode_ = Mode::open;
    }

    [[nodiscard]] constexpr BreakerState state(Instant now) const noexcept {
        if (mode_ == Mode::closed) return BreakerState::closed;
        const bool half_open = mode_ == Mode::probing || now >= open_until_;
        return half_open ? BreakerState::half_open : BreakerState::open;
    }

private:
    enum class Mode : std::uint8_t { closed, open, probing };

    [[no_unique_address]] Trip trip_;
    [[no_unique_address]] OpenWait open_wait_;
    Instant open_until_ = always;
    Mode mode_ = Mode::closed;
};

template <class Trip, class OpenWait>
Breaker(Trip, OpenWait) -> Breaker<Trip, OpenWait>;

static_assert(RuleLike<Breaker<>>);

}  // namespace belay::inline BELAY_ABI
