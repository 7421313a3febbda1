// SPDX-License-Identifier: MIT
/// \file belay/breaker/circuit_breaker.hpp
/// CircuitBreaker: one breaker for many callers and threads.
#pragma once

#include <concepts>     // std::derived_from, std::same_as
#include <cstdint>      // std::uint32_t
#include <type_traits>  // std::is_final_v
#include <utility>      // std::exchange, std::move

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/detail/breaker_engine.hpp>
#include <belay/core/clock_like.hpp>
#include <belay/core/steady_clock.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
// Is not the clock of a breaker, and so its observer. In a final class, such as a Tee, has_hook
// does not find every hook.
template <class O>
concept BreakerObserver =
    has_hook<OnBreaker, Unwrapped<O>>() || std::derived_from<Unwrapped<O>, NoObserver> ||
    (std::is_final_v<Unwrapped<O>> && !requires(Unwrapped<O>& clock) { clock.now(); });

template <class Clock>
[[nodiscard]] consteval bool explain_breaker_clock() {
    if constexpr (requires(const Clock& clock) { clock.now(); }) {
        return explain::clock_like<Clock>();
    } else {
        static_assert(!sizeof(Clock*),
                      "CircuitBreaker: this argument is neither a clock, which has now(), nor an "
                      "observer, which has on_breaker");
        return false;
    }
}
}  // namespace detail

/// A circuit breaker that many callers share. It makes the same decisions as Breaker.
///
///     CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
///     if (auto permit = breaker.acquire()) { ask(peer) ? permit.success() : permit.failure(); }
///
/// A permit that is dropped counts as neutral. A verdict on a permit from before the last change of
/// state is void. Calls from that time must not close or reopen the breaker. The breaker cannot be
/// copied or moved. It must outlive its permits, including those that other threads hold, and every
/// call of its functions. A checked build stops in the destructor if a permit is still out.
///
/// An observer has `on_breaker(const BreakerEvent&) noexcept`, with an optional `auto& breaker` as
/// the first parameter. It is the last argument; a clock and HalfOpenOptions may be left out before
/// it. The breaker notifies it after every change, in order, from one thread at a time, and
/// never under a lock. The observer may call every function of the breaker, but must not destroy
/// it. The thread that notifies may be another one than the thread that made the change.
///
/// Thread safety: any thread.
/// Blocks:        `acquire` never blocks while the breaker is closed. Verdicts with
///                ConsecutiveFailures do not block then either, except failures that a CountOnly
///                judges. Otherwise a call blocks for a few
///                instructions of another caller, and for those of the trip and the open wait,
///                which run under the lock. The clock also runs under the lock, once, for the
///                verdict that opens a breaker whose trip requires no time. A thread that makes a
///                change runs the observer for it, and for changes that other threads make
///                meanwhile.
/// Complexity:    O(1). With ConsecutiveFailures, while closed, a call that succeeds writes nothing
///                that is shared (in unchecked builds), and reads no clock.
template <class Clock = SteadyClock, class Trip = ConsecutiveFailures, class OpenWait = OpenFor,
          class Observer = NoObserver>
class CircuitBreaker {
    // Not constraints, because the compiler's message for a failed one would hide the sentence.
    static_assert(detail::explain_breaker_clock<Clock>());

public:
    static constexpr std::string_view name = "CircuitBreaker";
    /// The results of its calls decide; see ShareableLike.
    static constexpr bool judges_results = true;

    /// The right to make one call, and the duty to report its result.
    ///
    /// Only the first verdict counts. On a rejected, moved-from or finished permit, every verdict
    /// does nothing.
    /// Thread safety: distinct objects safe; the verdict may come from any thread.
    class [[nodiscard]] Permit {
    public:
        /// Makes a rejected permit that never asks again.
        constexpr Permit() noexcept = default;
        constexpr Permit(Permit&& other) noexcept
            : breaker_{std::exchange(other.breaker_, nullptr)},
              generation_{other.generation_},
              at_{other.at_} {}
        /// Drops the permit that was held. Do not use it to ask again. In
        /// `permit = breaker.acquire()` the old permit is still out when the new one is requested,
        /// and may be the reason for a rejection.
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

        /// Returns whether the call may be made (and has had no verdict yet).
        [[nodiscard]] constexpr explicit operator bool() const& noexcept {
            return breaker_ != nullptr;
        }
        /// Does not compile, because a temporary permit is dropped before the call.
        template <class Self = Permit>
        explicit operator bool() const&& {
            static_assert(!sizeof(Self*),
                          "CircuitBreaker: a temporary permit is dropped before the call; write if "
                          "(auto permit = breaker.acquire())");
            return false;
        }
        /// Returns when a rejected caller may ask again.   Pre: it was rejected.
        [[nodiscard]] constexpr Instant retry_at() const noexcept { return at_; }
        /// Returns the same as an Advice: `go`, or `suspend`.
        [[nodiscard]] constexpr Advice advice() const noexcept {
            return breaker_ != nullptr ? Advice::go() : Advice::suspend(at_);
        }

        /// Reports that the call succeeded now, by the breaker's own clock.
        void success() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.success(generation_, at_, OwnTime{*breaker});
                breaker->permits_.give_back();
            }
        }
        /// Reports that the call succeeded now, by the caller's turn.
        void success(Turn& turn) noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.success(generation_, at_, TurnTime{turn});
                breaker->permits_.give_back();
            }
        }
        /// Reports that the call failed now, by the breaker's own clock.
        void failure() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.failure(generation_, at_, OwnTime{*breaker}, unknown);
                breaker->permits_.give_back();
            }
        }
        /// Reports a failure with its reason.
        ///
        /// The breaker may count it as a success, or not at all, depending on what the failure
        /// means for the peer; see CountOnly.
        void failure(const Failure& why) noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->record(why, generation_, at_, OwnTime{*breaker});
                breaker->permits_.give_back();
            }
        }
        /// Reports that the call failed now, by the caller's turn. Returns the breaker's next
        /// advice.
        Advice failure(Turn& turn) noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            if (breaker == nullptr) return Advice::go();
            breaker->engine_.failure(generation_, at_, TurnTime{turn}, unknown);
            const Advice next = breaker->admit(turn.now);
            breaker->permits_.give_back();
            return next;
        }
        /// Reports a failure with its reason, by the caller's turn. Returns the breaker's next
        /// advice.
        Advice failure(const Failure& why, Turn& turn) noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            if (breaker == nullptr) return Advice::go();
            breaker->record(why, generation_, at_, TurnTime{turn});
            const Advice next = breaker->admit(turn.now);
            breaker->permits_.give_back();
            return next;
        }
        /// Reports that the call was not made, or that its result means nothing for the peer.
        constexpr void neutral() noexcept {
            if (breaker_ != nullptr) end_neutral();
        }

    private:
        friend class CircuitBreaker;
        // Not inlined, because most permits have had their verdict when they are destroyed.
        [[gnu::noinline]] constexpr void end_neutral() noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            breaker->engine_.neutral(generation_);
            breaker->permits_.give_back();
        }
        static constexpr Failure unknown{};

        constexpr Permit(CircuitBreaker* owner, std::uint32_t generation, Instant began) noexcept
            : breaker_{owner}, generation_{generation}, at_{began} {}
        constexpr explicit Permit(Instant retry_at) noexcept : at_{retry_at} {}

        CircuitBreaker* breaker_ = nullptr;
        std::uint32_t generation_ = 0;
        /// For a rejected permit: when to ask again. For a given one: when it was given, if the
        /// trip requires the duration of calls.
        Instant at_ = never;
    };

    /// Keeps a breaker forced open while it lives.
    ///
    /// Thread safety: distinct objects safe; it may end on any thread.
    class [[nodiscard]] Isolation {
    public:
        constexpr Isolation(Isolation&& other) noexcept
            : breaker_{std::exchange(other.breaker_, nullptr)} {}
        /// Ends the isolation that was held.
        Isolation& operator=(Isolation&& other) noexcept {
            if (this != &other) {
                end();
                breaker_ = std::exchange(other.breaker_, nullptr);
            }
            return *this;
        }
        ~Isolation() { end(); }

        /// Ends this isolation. A second call does nothing.
        void end() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.change_mode(Command::end_isolation, breaker->clock_.now());
            }
        }

    private:
        friend class CircuitBreaker;
        constexpr explicit Isolation(CircuitBreaker& owner) noexcept : breaker_{&owner} {}

        CircuitBreaker* breaker_;
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
    /// Takes an observer without the options, the clock, or both.
    template <std::same_as<Clock> C, std::same_as<Observer> O>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, C clock, O observer) noexcept
        : CircuitBreaker{trip, open_wait, clock, HalfOpenOptions{}, std::move(observer)} {}
    template <std::same_as<Observer> O>
        requires std::default_initializable<Clock>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, HalfOpenOptions half_open,
                             O observer) noexcept
        : CircuitBreaker{trip, open_wait, Clock{}, half_open, std::move(observer)} {}
    template <std::same_as<Observer> O>
        requires std::default_initializable<Clock>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, O observer) noexcept
        : CircuitBreaker{trip, open_wait, Clock{}, HalfOpenOptions{}, std::move(observer)} {}
    CircuitBreaker(const CircuitBreaker&) = delete;
    CircuitBreaker& operator=(const CircuitBreaker&) = delete;
    /// Pre: every permit has had its verdict, or was dropped; every isolation has ended; no call is
    ///      in progress, so the observer does not destroy the breaker.
    ~CircuitBreaker() {
        BELAY_PRECONDITION(
            !engine_.in_use().is_notifying,
            "CircuitBreaker::~CircuitBreaker: the breaker must outlive its observer's calls");
        BELAY_PRECONDITION(permits_.all_back(),
                           "CircuitBreaker::~CircuitBreaker: the breaker must outlive its permits");
        BELAY_PRECONDITION(
            isolations() == 0,
            "CircuitBreaker::~CircuitBreaker: the breaker must outlive its isolations");
    }

    /// Requests a permit for a call now, by the breaker's own clock.   Errors: a rejected permit.
    Permit acquire() noexcept { return acquire_by(OwnTime{*this}); }
    /// Requests a permit for a call at the turn's time.   Errors: a rejected permit.
    Permit acquire(Turn& turn) noexcept { return acquire_by(TurnTime{turn}); }

    /// Counts an attempt that a Shared rule's check of this breaker rejected.
    void rejected() noexcept { engine_.rejected(); }

    /// Returns whether a call at `now` would be let through, and takes nothing.   Errors: none.
    [[nodiscard]] Advice admit(Instant now) const noexcept { return engine_.admit(now); }
    /// Returns the state at `now`.   Errors: none.
    [[nodiscard]] BreakerState state(Instant now) const noexcept {
        return engine_.state([now] { return now; });
    }
    /// Returns the state now, by the breaker's own clock.
    [[nodiscard]] BreakerState state() const noexcept {
        return engine_.state([this] { return Instant{clock_.now()}; });
    }
    /// Returns the length of the last open wait, over which Shared rules spread waiting callers.
    ///
    /// It is 0ns until the breaker opens for the first time. While the breaker is held open, it is
    /// at most 1 s. After `set_rules` it is a wait of the new rules. After `restore` of a breaker
    /// that is not closed, it is a wait of the rules, or the rest of the restored one. The longer
    /// one counts.   Errors: none.
    [[nodiscard]] Duration spread() const noexcept { return engine_.open_wait(); }
    [[nodiscard]] BreakerMode mode() const noexcept { return engine_.mode(); }
    /// Returns the counts, which are exact when no call is under way.
    ///
    /// The counts of calls under way on other threads may lag behind each other.   Errors: none.
    [[nodiscard]] BreakerCounters counters() const noexcept { return engine_.counters(); }

    /// Sets the source of decisions, and starts afresh.
    ///
    /// All counts are cleared, and permits that are out become void. Setting `automatic` again
    /// closes the breaker. While the breaker is isolated, the mode applies from the end of the last
    /// isolation on.
    /// Errors: none.
    void set_mode(BreakerMode mode) noexcept {
        engine_.change_mode(Command::set, clock_.now(), mode);
    }
    /// Changes when the breaker opens, for how long, and how it probes, while callers use it:
    ///
    ///     breaker.set_rules(ConsecutiveFailures{10}, OpenFor{5s}, {.successes = 3});
    ///
    /// The mode and the isolations stay. A closed breaker stays closed. One that is open or
    /// half-open lets its next callers probe now, by the new options. All counts are cleared, and
    /// permits that are out become void, as in set_mode. A retry that already waits asks at the
    /// time that it was given.
    ///
    /// Pre: that of HalfOpenOptions.   Errors: none.
    void set_rules(Trip trip, OpenWait open_wait, HalfOpenOptions half_open = {}) noexcept {
        engine_.set_rules(trip, open_wait, half_open);
    }
    /// Forces the breaker open until the isolation ends, and all other isolations have ended.
    ///
    /// So independent parts of a program can each hold the breaker open, for instance during their
    /// maintenance. Then the breaker starts afresh in the mode that it had before, as after
    /// set_mode. Observers are notified of the first and of the last change, as of set_mode.
    ///
    /// Pre: fewer than 65535 isolations.   Errors: none.
    /// Source: `isolate()` of cockatiel's CircuitBreakerPolicy.
    [[nodiscard]] Isolation isolate() noexcept {
        engine_.change_mode(Command::isolate, clock_.now());
        return Isolation{*this};
    }
    /// Returns the number of isolations that have not ended.   Errors: none.
    [[nodiscard]] std::uint32_t isolations() const noexcept { return engine_.in_use().isolations; }
    /// Makes its generator, which draws open waits, seed itself again; see
    /// Random::reseed_after_fork.
    ///
    /// Pre: no other thread uses the breaker, as in the child just after a fork.   Errors: none.
    void reseed_after_fork() noexcept { bits_.reseed_after_fork(); }
    /// Returns the state that a restarted program needs, now by the breaker's own clock.
    ///
    /// An isolation is not part of it.   Errors: none.
    [[nodiscard]] BreakerSnapshot snapshot() const noexcept { return snapshot(clock_.now()); }
    /// Returns the same at `now`, for a breaker whose permits come by turns of another clock.
    [[nodiscard]] BreakerSnapshot snapshot(Instant now) const noexcept {
        return engine_.snapshot(now);
    }
    /// Continues from a snapshot, now by the breaker's own clock and generator; permits that are
    /// out become void.
    ///
    /// A snapshot holds no instants, so it may be from another process, host or clock.
    ///
    /// Errors: returns false, and changes nothing, if the snapshot is not valid, or while the
    ///         breaker is isolated.
    /// Complexity: O(openings) for a wait that grows, O(1) for others.
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot) noexcept {
        return engine_.restore(snapshot, Turn{clock_.now(), bits_});
    }
    /// Does the same by the caller's turn: the rest of an open wait begins at its time.
    ///
    /// Use it if the permits come by turns, as those of a Shared rule do, and the turns have
    /// another clock than the breaker. Such are the turns in a simulated world.
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot, Turn& turn) noexcept {
        return engine_.restore(snapshot, turn);
    }

private:
    // The time and the random bits of a call, read only if they are needed.
    struct OwnTime {
        CircuitBreaker& breaker;
        [[nodiscard]] Turn operator()() const noexcept {
            // The engine draws from the bits under its lock.
            return {breaker.clock_.now(), breaker.bits_};
        }
    };
    struct TurnTime {
        // A copy, so that the turn of a caller need not be in memory.
        Turn turn;
        [[nodiscard]] Turn operator()() const noexcept { return turn; }
    };

    template <class Time>
    void record(const Failure& why, std::uint32_t generation, Instant began, Time time) noexcept {
        switch (engine_.evidence_of(why)) {
            case detail::PeerEvidence::unwell:
                return engine_.failure(generation, began, time, why);
            case detail::PeerEvidence::well:
                return engine_.success(generation, began, time);
            case detail::PeerEvidence::nothing:
                return engine_.neutral(generation, why);
        }
    }
    template <class Time>
    [[nodiscard]] Permit acquire_by(Time time) noexcept {
        const detail::BreakerGrant grant = engine_.acquire(time);
        if (!grant.granted) return Permit{grant.at};
        permits_.take();
        return Permit{this, grant.generation, grant.at};
    }

    using Engine = detail::BreakerEngine<CircuitBreaker, Trip, OpenWait, Observer>;
    using Command = typename Engine::ModeCommand;

    Engine engine_;
    Random bits_{};
    [[no_unique_address]] Clock clock_;
    [[no_unique_address]] detail::PermitCount permits_;
};

template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
// Does not compile, because the open wait is missing.
template <class Trip>
CircuitBreaker(Trip) -> CircuitBreaker<SteadyClock, Trip, detail::NoOpenWait>;
template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait, HalfOpenOptions) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock, class Observer>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions, Observer)
    -> CircuitBreaker<Clock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, class Clock, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, Clock, Observer) -> CircuitBreaker<Clock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, HalfOpenOptions, Observer)
    -> CircuitBreaker<SteadyClock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, Observer) -> CircuitBreaker<SteadyClock, Trip, OpenWait, Observer>;

}}  // namespace belay
