// SPDX-License-Identifier: MIT
// Goal: bounds are proven where they hold, to the nanosecond, and nowhere else.
#include <belay/link/bounds.hpp>

#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/call/policies.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

// ---- detection --------------------------------------------------------------------------------

static_assert(timeline::detects_within(HeartbeatOptions{.every = 10s, .dead_after = 25s}, 30s));
static_assert(timeline::detects_within(HeartbeatOptions{}, 30s));
static_assert(timeline::detects_within({.every = 10s, .dead_after = 25s}, 25s));
static_assert(!timeline::detects_within({.every = 10s, .dead_after = 25s}, 25s - 1ns));
static_assert(!timeline::detects_within({.every = 25s, .dead_after = 25s}, 30s));
static_assert(!timeline::detects_within({.every = 0s, .dead_after = 25s}, 30s));

// ---- after a return at any time -----------------------------------------------------------------

// An attempt of 25 s that began just before, an open breaker of 540 s, and an attempt of 25 s.
static_assert(timeline::returns_within(policies::reconnection(), 590s));
static_assert(!timeline::returns_within(policies::reconnection(), 590s - 1ns));
static_assert(timeline::returns_within(Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}, 2min));
static_assert(!timeline::returns_within(Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}, 2min - 1ns));
static_assert(!timeline::returns_within(Policy{Backoff{NoJitter{}, Cap{60s}, 1s},
                                               AttemptTimeout{forever}},
                                        forever));

// Waits that grow slowly reach their cap after many failures, and breakers may open late.
constexpr Policy slow_growth{Backoff{NoJitter{}, Cap{1h}, Linear{1s}}, AttemptTimeout{5s}};
static_assert(!timeline::returns_within(slow_growth, 1h + 10s - 1ns));
static_assert(timeline::returns_within(slow_growth, 1h + 10s));
constexpr Policy late_breaker{Backoff{NoJitter{}, Cap{1s}, 1s},
                              Breaker{ConsecutiveFailures{100}, OpenFor{1h}}, AttemptTimeout{5s}};
static_assert(!timeline::returns_within(late_breaker, 1h + 10s - 1ns));
static_assert(timeline::returns_within(late_breaker, 1h + 10s));

// ---- heartbeat, window, limit and breaker as a whole --------------------------------------------

constexpr HeartbeatOptions readme_times{.every = 10s, .dead_after = 25s};
static_assert(timeline::check(readme_times, policies::reconnection()).empty());
static_assert(timeline::check(readme_times, policies::connection()).empty());
static_assert(!timeline::check({.every = 30s, .dead_after = 10s}, policies::connection()).empty());
constexpr Policy aged{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10},
                      ResetWhenStable::by_age(26s)};
static_assert(timeline::check(readme_times, aged).empty());
static_assert(timeline::check({.every = 10s, .dead_after = 26s}, aged)
                  .starts_with("ResetWhenStable::by_age"));
// A minute holds many failures at once, and only two that take 25 s each.
constexpr Policy forgets{
    Backoff{NoJitter{}, Cap{2s}, 1s},
    Breaker{FailureRate{TimeWindow{60s}, {.percent = 50, .min_calls = 5}}, OpenFor{60s}}};
static_assert(timeline::check(readme_times, forgets).starts_with("the breaker opens for"));
static_assert(timeline::check({.every = 1s, .dead_after = 3s}, forgets).empty());
// A policy stops as soon as any of its rules stops, also a rule of a nested policy.
static_assert(timeline::check(readme_times, Policy{Policy{forgets}}).starts_with("the breaker"));

// ---- reconnection -----------------------------------------------------------------------------

static_assert(timeline::reconnects_within(policies::reconnection(), 3, 90s));
// 1.1 + 2.2 + 4.4 s of waits, 3 * 25 s of attempts.
static_assert(timeline::reconnects_within(policies::reconnection(), 3, 82'700ms));
static_assert(!timeline::reconnects_within(policies::reconnection(), 3, 82'700ms - 1ns));

inline constexpr Backoff doubled_waits{NoJitter{}, Cap{60s}, 1s};
// Without an AttemptTimeout an attempt takes 30 s: 7 + 90 s.
static_assert(!timeline::reconnects_within(Policy{doubled_waits}, 3, 90s));
static_assert(timeline::reconnects_within(Policy{doubled_waits}, 3, 97s));
static_assert(!timeline::reconnects_within(Policy{doubled_waits}, 3, 97s - 1ns));
// Rules of a nested policy count as if they were written in its place.
static_assert(timeline::reconnects_within(Policy{Policy{doubled_waits}, AttemptTimeout{10s}}, 3,
                                          37s));
static_assert(!timeline::reconnects_within(Policy{Policy{doubled_waits}, AttemptTimeout{10s}}, 3,
                                           37s - 1ns));

// The longest wait of all rules counts.
inline constexpr CooldownOn room_reset{Cause::overloaded, 5s, 15s};
static_assert(timeline::reconnects_within(Policy{doubled_waits, room_reset, AttemptTimeout{10s}}, 3,
                                          75s));
static_assert(!timeline::reconnects_within(Policy{doubled_waits, room_reset, AttemptTimeout{10s}},
                                           3, 75s - 1ns));

// A rule that stops first gives no bound, however long the bound is.
static_assert(timeline::reconnects_within(Policy{doubled_waits, MaxAttempts{3}}, 3, 97s));
static_assert(!timeline::reconnects_within(Policy{doubled_waits, MaxAttempts{2}}, 3, forever));
static_assert(!timeline::reconnects_within(Policy{doubled_waits, AttemptTimeout{forever}}, 3,
                                           forever));
static_assert(timeline::reconnects_within(Policy{doubled_waits, StopOn{Cause::permanent}}, 3, 97s));
static_assert(!timeline::reconnects_within(Policy{doubled_waits, StopOn{Cause::timed_out}}, 1,
                                           forever));
static_assert(!timeline::reconnects_within(Policy{doubled_waits, StopOn::all_but(Cause::lost)}, 1,
                                           forever));

// A breaker that opens before the last attempt delays it. One that opens later does not.
template <std::uint32_t limit>
inline constexpr Policy broken{doubled_waits, Breaker{ConsecutiveFailures{limit}, OpenFor{100s}},
                               AttemptTimeout{10s}};
static_assert(timeline::reconnects_within(broken<3>, 3, 37s));
static_assert(timeline::reconnects_within(broken<2>, 3, 133s));  // 1 + 2 + 100
static_assert(!timeline::reconnects_within(broken<2>, 3, 133s - 1ns));
static_assert(timeline::reconnects_within(broken<1>, 3, 231s));  // 1 + 100 + 100
static_assert(!timeline::reconnects_within(broken<1>, 3, 231s - 1ns));
// A breaker whose trip does not state when it opens may open at the first failure.
static_assert(!timeline::reconnects_within(
    Policy{doubled_waits,
           Breaker{FailureRate{CountWindow<4>{}, {.percent = 50, .min_calls = 4}}, OpenFor{100s}},
           AttemptTimeout{10s}},
    2, 100s));
// Open waits that grow.
static_assert(timeline::reconnects_within(
    Policy{Breaker{ConsecutiveFailures{1}, Backoff{NoJitter{}, Cap{60s}, 10s}}, AttemptTimeout{1s}},
    4, 74s));  // 0 + 10 + 20 + 40, and 4
static_assert(!timeline::reconnects_within(
    Policy{Breaker{ConsecutiveFailures{1}, Backoff{NoJitter{}, Cap{60s}, 10s}}, AttemptTimeout{1s}},
    4, 74s - 1ns));
static_assert(Breaker{ConsecutiveFailures{1}, Backoff{NoJitter{}, Cap{60s}, 10s}}.longest_wait(
                  ~std::uint64_t{0}) == 60s);
static_assert(timeline::reconnects_within(
    Policy{Breaker{ConsecutiveFailures{1}, OpenAsAsked{OpenFor{5s}, 10min}}, AttemptTimeout{1s}}, 2,
    7s));

static_assert(timeline::reconnects_within(policies::connection(), 3,
                                          135s));  // 15 s of cooldown each time
static_assert(!timeline::reconnects_within(policies::connection(), 3, 90s));

// ---- rules with a bound -------------------------------------------------------------------------

static_assert(detail::HasLongestWait<AttemptTimeout> && detail::HasLongestWait<ResetWhenStable> &&
              detail::HasLongestWait<MaxAttempts> && detail::HasLongestWait<CooldownOn> &&
              detail::HasLongestWait<Breaker<>> && detail::HasLongestWait<decltype(doubled_waits)>);
static_assert(!detail::HasLongestWait<MaxElapsed> && !detail::HasLongestWait<Shared<TokenBudget>>);
inline constexpr Backoff decorrelated{DecorrelatedJitter{}, Cap{30s}, 1s};
static_assert(decorrelated.longest_wait(9) == decorrelated.max_delay(9));
