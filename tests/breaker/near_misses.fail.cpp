// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/trips.hpp>

// expect-error: AnyTrip, AllTrips: a trip must not be a CountOnly
namespace any_trip_count_only {
#if defined(BELAY_CONTROL)
belay::AnyTrip trip{belay::ConsecutiveFailures{5}};
#else
belay::AnyTrip trip{belay::CountOnly{belay::ConsecutiveFailures{5}, belay::Cause::lost}};
#endif
}  // namespace any_trip_count_only

// expect-error: CircuitBreaker: the observer's on_breaker must be 'on_breaker
namespace breaker_observer {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_breaker(const belay::BreakerEvent&) noexcept {}
#else
    void on_breaker(const belay::BreakerEvent&) {}
#endif
};

belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{belay::Duration{1}},
                              belay::SteadyClock{},
                              {},
                              Observer{}};
}  // namespace breaker_observer

// expect-error: CircuitBreaker: the observer has no hook
namespace breaker_observer_misspelt {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_breaker(const belay::BreakerEvent&) noexcept {}
#else
    void on_braker(const belay::BreakerEvent&) noexcept {}
#endif
};

belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{belay::Duration{1}},
                              belay::SteadyClock{},
                              {},
                              Observer{}};
}  // namespace breaker_observer_misspelt

// expect-error: acquire: a temporary permit is returned before the call
namespace breaker_permit_dropped {
bool ask(belay::CircuitBreaker<>& breaker) {
#if defined(BELAY_CONTROL)
    if (auto permit = breaker.acquire()) return true;
#else
    if (breaker.acquire()) return true;
#endif
    return false;
}
}  // namespace breaker_permit_dropped

// expect-error: CircuitBreaker: this argument is neither a clock, which has now
namespace clock_without_now {
struct Clock {
#if defined(BELAY_CONTROL)
    belay::Instant now() const noexcept { return {}; }
#else
    belay::Instant time() const noexcept { return {}; }
#endif
};

belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5}, belay::OpenFor{belay::Duration{1}},
                              Clock{}};
}  // namespace clock_without_now

// expect-error: CountOnly: the filter must be causes, or a copyable
namespace count_only_filter {
#if defined(BELAY_CONTROL)
constexpr auto filter = [](const belay::Failure& why) noexcept { return why.code != 404; };
#else
constexpr auto filter = [](int status) noexcept { return status != 404; };
#endif

belay::Breaker breaker{belay::CountOnly{belay::ConsecutiveFailures{5}, filter},
                       belay::OpenFor{belay::Duration{1}}};
}  // namespace count_only_filter

// expect-error: OpenWaitLike: W::next must return belay::Duration
namespace open_wait_in_seconds {
struct Wait {
#if defined(BELAY_CONTROL)
    belay::Duration next(belay::Random&) noexcept { return belay::Duration{1}; }
#else
    std::chrono::seconds next(belay::Random&) noexcept { return std::chrono::seconds{1}; }
#endif
};

belay::Breaker breaker{belay::ConsecutiveFailures{5}, Wait{}};
}  // namespace open_wait_in_seconds

// expect-error: OpenWaitLike: W::reset must be 'void reset
namespace open_wait_reset {
// It would never be called: each opening would last longer than the one before, without a limit.
struct Doubling {
    belay::Duration wait{1};
    belay::Duration next(belay::Random&) noexcept { return wait *= 2; }
#if defined(BELAY_CONTROL)
    void reset() noexcept { wait = belay::Duration{1}; }
#else
    void reset(int to) noexcept { wait = belay::Duration{to}; }
#endif
};

belay::Breaker breaker{belay::ConsecutiveFailures{3}, Doubling{}};
}  // namespace open_wait_reset

// expect-error: TripLike: T::record must be noexcept
namespace trip_that_throws {
struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed) noexcept { return failed; }
#else
    bool record(bool failed) { return failed; }
#endif
    void reset() noexcept {}
};

belay::Breaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
}  // namespace trip_that_throws

// expect-error: TripLike: T with too_slow needs 'bool record
namespace trip_too_slow_untimed {
struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed, belay::Instant, belay::Duration) noexcept { return failed; }
#else
    bool record(bool failed) noexcept { return failed; }
#endif
    void reset() noexcept {}
    bool too_slow(belay::Duration took) const noexcept { return took > belay::Duration{1}; }
};

belay::Breaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
}  // namespace trip_too_slow_untimed

// expect-error: TripLike: T needs 'bool record
namespace trip_without_record {
struct Trip {
#if defined(BELAY_CONTROL)
    bool record(bool failed) noexcept { return failed; }
#else
    bool recorded(bool failed) noexcept { return failed; }
#endif
    void reset() noexcept {}
};

belay::CircuitBreaker breaker{Trip{}, belay::OpenFor{belay::Duration{1}}};
}  // namespace trip_without_record

// expect-error: CircuitBreaker: this argument is neither a clock, which has now
namespace breaker_observer_without_clock {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_breaker(const belay::BreakerEvent&) noexcept {}
#else
    void on_break(const belay::BreakerEvent&) noexcept {}
#endif
};
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{3}, belay::OpenFor{belay::Duration{1}},
                              Observer{}};
}  // namespace breaker_observer_without_clock

// expect-error: Breaker: the open wait requires the counts of the trip
namespace open_wait_without_counts {
struct Trip {
    bool record(bool failed) noexcept { return failed; }
    void reset() noexcept {}
#if defined(BELAY_CONTROL)
    belay::CallCounts tripped_by() const noexcept { return {1, 1}; }
#endif
};
struct Wait {
    belay::Duration next(belay::Random&) noexcept { return belay::Duration{1}; }
    belay::Duration next(belay::Random&, const belay::Failure&, const belay::CallCounts&) noexcept {
        return belay::Duration{1};
    }
};
belay::Breaker breaker{Trip{}, Wait{}};
}  // namespace open_wait_without_counts

// expect-error: Breaker: pass the trip first, then the open wait
namespace breaker_with_the_open_wait_first {
constexpr belay::OpenFor open_wait{belay::Duration{9}};
#if defined(BELAY_CONTROL)
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5}, open_wait};
#else
belay::CircuitBreaker breaker{open_wait, belay::ConsecutiveFailures{5}};
#endif
}  // namespace breaker_with_the_open_wait_first

// expect-error: Breaker: pass the trip first, then the open wait: Breaker.ConsecutiveFailures.5., OpenFor.30s..
namespace breaker_of_numbers {
#if defined(BELAY_CONTROL)
belay::Breaker breaker{belay::ConsecutiveFailures{5}, belay::OpenFor{std::chrono::seconds{30}}};
#else
belay::Breaker breaker{5, std::chrono::seconds{30}};
#endif
}  // namespace breaker_of_numbers

// expect-error: Breaker: pass the trip first, then the open wait: Breaker.ConsecutiveFailures.5., OpenFor.30s..
namespace breaker_without_an_open_wait {
#if defined(BELAY_CONTROL)
belay::Breaker breaker{belay::ConsecutiveFailures{5}, belay::OpenFor{std::chrono::seconds{30}}};
#else
belay::Breaker breaker{belay::ConsecutiveFailures{5}};
#endif
}  // namespace breaker_without_an_open_wait

// expect-error: Breaker: pass the trip first, then the open wait: Breaker.ConsecutiveFailures.5., OpenFor.30s..
namespace circuit_breaker_of_numbers {
#if defined(BELAY_CONTROL)
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{std::chrono::seconds{30}}};
#else
belay::CircuitBreaker breaker{5L, std::chrono::seconds{30}};
#endif
}  // namespace circuit_breaker_of_numbers

// expect-error: Breaker: pass the trip first, then the open wait: Breaker.ConsecutiveFailures.5., OpenFor.30s..
namespace circuit_breaker_with_a_time {
#if defined(BELAY_CONTROL)
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{std::chrono::seconds{30}}};
#else
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5}, std::chrono::seconds{30}};
#endif
}  // namespace circuit_breaker_with_a_time

// expect-error: Breaker: pass the trip first, then the open wait: Breaker.ConsecutiveFailures.5., OpenFor.30s..
namespace circuit_breaker_without_an_open_wait {
const belay::FailureRate trip{belay::CountWindow<20>{}, {.percent = 50}};
#if defined(BELAY_CONTROL)
belay::CircuitBreaker breaker{trip, belay::OpenFor{std::chrono::seconds{30}}};
#else
belay::CircuitBreaker breaker{trip};
#endif
}  // namespace circuit_breaker_without_an_open_wait

// expect-error: FailureRate: write the window, and the numbers with their names
namespace failure_rate_of_numbers {
#if defined(BELAY_CONTROL)
belay::FailureRate trip{belay::CountWindow<20>{}, {.percent = 50}};
#else
belay::FailureRate trip{belay::CountWindow<20>{}, 50};
#endif
}  // namespace failure_rate_of_numbers
