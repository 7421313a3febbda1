// SPDX-License-Identifier: MIT
/// \file belay/breaker/circuit_breaker.hpp
/// CircuitBreaker: one breaker for many callers and threads.
#pragma once

#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange, std::move

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/detail/breaker_engine.hpp>
#include <belay/core/clock_like.hpp>
#include <belay/core/steady_clock.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class Clock>
[[nodiscard]] consteval bool explain_breaker_clock() {
    if constexpr (has_hook<OnBreaker, Clock>() && !requires(const Clock& clock) { clock.now(); }) {
        static_assert(
            !sizeof(Clock),
            "CircuitBreaker: the observer follows a clock and HalfOpenOptions: "
            "CircuitBreaker{trip, open_wait, SteadyClock{}, HalfOpenOptions{}, observer}");
        return false;
    } else {
        return explain::clock_like<Clock>();
    }
}
}  // namespace detail

/// Breaker's behaviour as an object that callers share. Pinned.
///
///     CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
///     if (auto permit = breaker.acquire()) { ask(peer) ? permit.success() : permit.failure(); }
///
/// A permit that is dropped counts as neutral. A verdict on a permit from before the last change of
/// state is void: calls that were under way when the breaker opened must not close or reopen it.
/// The breaker must outlive its permits, also those that other threads hold, and every call of its
/// functions; a checked build stops in the destructor if a permit is still out.
///
/// An observer has `on_breaker(const BreakerEvent&) noexcept`, which may have `auto& breaker` in
/// front; it follows a clock in the constructor. It hears every change after it was made, in order,
/// from one thread at a time, never under a lock; it may call every function of the breaker, but
/// not destroy it. The thread that is told need not be the one that made the change.
///
/// Thread safety: any thread.
/// Blocks:        `acquire` never while closed, nor do verdicts with ConsecutiveFailures; otherwise
///                for a few instructions of another caller, and those of the trip and the open
///                wait, which run under the lock. So does the clock, once, for the verdict that
///                opens a breaker whose trip asks for no time. Who makes a change runs the observer
///                for it, and for changes that other threads make meanwhile.
/// Complexity:    O(1). With ConsecutiveFailures, while closed, a call that succeeds writes nothing
///                that is shared (in unchecked builds), and reads no clock.
template <class Clock = SteadyClock, class Trip = ConsecutiveFailures, class OpenWait = OpenFor,
          class Observer = NoObserver>
class CircuitBreaker {
    // Not constraints: the compilers' words for a failed one would hide the sentence.
    static_assert(detail::explain_breaker_clock<Clock>());

public:
    static constexpr std::string_view name = "CircuitBreaker";

    /// The right to make one call, and the duty to say how it went.
    ///
    /// Only the first verdict counts; on a refused, moved-from or finished permit every verdict is
    /// a no-op.
    /// Thread safety: distinct objects safe; the verdict may come from any thread.
    class [[nodiscard]] Permit {
    public:
        /// Refused, and never to be asked.
        constexpr Permit() noexcept = default;
        constexpr Permit(Permit&& other) noexcept
            : breaker_{std::exchange(other.breaker_, nullptr)},
              generation_{other.generation_},
              at_{other.at_} {}
        /// Drops the permit that was held. Not to ask anew: in `permit = breaker.acquire()` the
        /// old one is still out when the new one is asked for, and may be why it is refused.
        constexpr Permit& operator=(Permit&& other) noexcept {
            if (this != &other) {
                neutral();
                breaker_ = std::exchange(other.breaker_, nullptr);
                generation_ = other.generation_;
                at_ = other.at_;
            }
            return *this;
        }
        constexpr ~Permit() { neutral(); }

        /// Whether the call may be made (and has had no verdict yet).
        [[nodiscard]] constexpr explicit operator bool() const& noexcept {
            return breaker_ != nullptr;
        }
        /// A permit that nobody holds has gone back before the call: `if (auto permit = ...)`.
        explicit operator bool() const&& = delete;
        /// When a refused caller may ask again.   Pre: it was refused.
        [[nodiscard]] constexpr Instant retry_at() const noexcept { return at_; }
        /// The same as an opinion: `go`, or `suspend`.
        [[nodiscard]] constexpr Advice advice() const noexcept {
            return breaker_ != nullptr ? Advice::go() : Advice::suspend(at_);
        }

        /// The call worked, now by the breaker's own clock.
        void success() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.success(generation_, at_, OwnTime{*breaker});
                breaker->permits_.give_back();
            }
        }
        /// The call worked, now by the caller's turn.
        void success(Turn& turn) noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.success(generation_, at_, TurnTime{turn});
                breaker->permits_.give_back();
            }
        }
        /// The call failed, now by the breaker's own clock.
        void failure() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.failure(generation_, at_, OwnTime{*breaker}, unknown);
                breaker->permits_.give_back();
            }
        }
        /// The same of a failure that is known: what it says of the peer, see CountOnly, may as
        /// well be a success, or nothing.
        void failure(const Failure& why) noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->judge(why, generation_, at_, OwnTime{*breaker});
                breaker->permits_.give_back();
            }
        }
        /// The call failed, now by the caller's turn; what the breaker says next.
        Advice failure(Turn& turn) noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            if (breaker == nullptr) return Advice::go();
            breaker->engine_.failure(generation_, at_, TurnTime{turn}, unknown);
            const Advice next = breaker->admit(turn.now);
            breaker->permits_.give_back();
            return next;
        }
        /// The same of a failure that is known.
        Advice failure(const Failure& why, Turn& turn) noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            if (breaker == nullptr) return Advice::go();
            breaker->judge(why, generation_, at_, TurnTime{turn});
            const Advice next = breaker->admit(turn.now);
            breaker->permits_.give_back();
            return next;
        }
        /// The call was not made, or its outcome says nothing about the peer.
        constexpr void neutral() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.neutral(generation_);
                breaker->permits_.give_back();
            }
        }

    private:
        friend class CircuitBreaker;
        static constexpr Failure unknown{};

        constexpr Permit(CircuitBreaker* owner, std::uint32_t generation, Instant began) noexcept
            : breaker_{owner}, generation_{generation}, at_{began} {}
        constexpr explicit Permit(Instant retry_at) noexcept : at_{retry_at} {}

        CircuitBreaker* breaker_ = nullptr;
        std::uint32_t generation_ = 0;
        /// Refused: when to ask again. Given: when, if the trip asks how long calls take.
        Instant at_ = never;
    };

    template <class C = Clock>
        requires std::default_initializable<C>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, HalfOpenOptions half_open = {}) noexcept
        : CircuitBreaker{trip, open_wait, C{}, half_open} {}
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, Clock clock,
                             HalfOpenOptions half_open = {}, Observer observer = {}) noexcept
        : engine_{*this, trip, open_wait, half_open, std::move(observer)}, clock_{clock} {
        static_assert(detail::explain_observer<detail::BreakerHooks<CircuitBreaker>, Observer>());
    }
    CircuitBreaker(const CircuitBreaker&) = delete;
    CircuitBreaker& operator=(const CircuitBreaker&) = delete;
    /// Pre: every permit has had its verdict, or was dropped; no call is in progress, so the
    /// observer is not the one who destroys it.
    ~CircuitBreaker() {
        BELAY_PRECONDITION(!engine_.is_telling(),
                           "CircuitBreaker::~CircuitBreaker: it must outlive its observer's calls");
        BELAY_PRECONDITION(permits_.all_back(),
                           "CircuitBreaker::~CircuitBreaker: it must outlive its permits");
    }

    /// Asks to make a call now, by the breaker's own clock.   Errors: a refused permit.
    Permit acquire() noexcept { return acquire_by(OwnTime{*this}); }
    /// Asks to make a call at the turn's time.   Errors: a refused permit.
    Permit acquire(Turn& turn) noexcept { return acquire_by(TurnTime{turn}); }

    /// Would a call at `now` be let through? Takes nothing.   Errors: none.
    [[nodiscard]] Advice admit(Instant now) const noexcept { return engine_.admit(now); }
    /// Errors: none.
    [[nodiscard]] BreakerState state(Instant now) const noexcept { return engine_.state(now); }
    /// The same by the breaker's own clock.
    [[nodiscard]] BreakerState state() const noexcept {
        return engine_.is_guarded() ? state(clock_.now()) : BreakerState::closed;
    }
    [[nodiscard]] BreakerMode mode() const noexcept { return engine_.mode(); }
    /// Exact when no call is under way; the counts of calls under way on other threads may lag
    /// behind each other.   Errors: none.
    [[nodiscard]] BreakerCounters counters() const noexcept { return engine_.counters(); }

    /// Sets who decides, and starts afresh: nothing counted, permits that are out are void. Setting
    /// `automatic` again closes it.   Errors: none.
    void set_mode(BreakerMode mode) noexcept { engine_.set_mode(mode, clock_.now()); }
    /// What a restarted program needs to go on, now by the breaker's own clock.   Errors: none.
    [[nodiscard]] BreakerSnapshot snapshot() const noexcept {
        return engine_.snapshot(clock_.now());
    }
    /// Goes on where a snapshot left off; permits that are out are void.
    /// Errors: false, and nothing changed, if the snapshot makes no sense.
    /// Complexity: O(openings) for a wait that grows, O(1) for others.
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot) noexcept {
        return engine_.restore(snapshot, Turn{clock_.now(), bits_});
    }

private:
    // Time and chance of a call, read only where they are needed.
    struct OwnTime {
        CircuitBreaker& breaker;
        [[nodiscard]] Turn operator()() const noexcept {
            // The engine draws from the bits under its lock.
            return {breaker.clock_.now(), breaker.bits_};
        }
    };
    struct TurnTime {
        Turn& turn;
        [[nodiscard]] Turn& operator()() const noexcept { return turn; }
    };

    template <class Time>
    void judge(const Failure& why, std::uint32_t generation, Instant began, Time time) noexcept {
        switch (engine_.says(why)) {
            case detail::PeerEvidence::unwell:
                return engine_.failure(generation, began, time, why);
            case detail::PeerEvidence::well:
                return engine_.success(generation, began, time);
            case detail::PeerEvidence::nothing:
                return engine_.neutral(generation);
        }
    }
    template <class Time>
    [[nodiscard]] Permit acquire_by(Time time) noexcept {
        const detail::BreakerGrant grant = engine_.acquire(time);
        if (!grant.granted) return Permit{grant.at};
        permits_.take();
        return Permit{this, grant.generation, grant.at};
    }

    detail::BreakerEngine<CircuitBreaker, Trip, OpenWait, Observer> engine_;
    Random bits_{};
    [[no_unique_address]] Clock clock_;
    [[no_unique_address]] detail::PermitCount permits_;
};

template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait, HalfOpenOptions) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock, class Observer>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions, Observer)
    -> CircuitBreaker<Clock, Trip, OpenWait, Observer>;

}}  // namespace belay
