// SPDX-License-Identifier: MIT
// Goal: every cause but the given ones stops, in every hook; it is the exact opposite of StopOn.
#include <belay/policy/retry_only.hpp>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/stop_on.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

constexpr Cause all[] = {Cause::none,      Cause::planned,    Cause::lost,        Cause::refused,
                         Cause::timed_out, Cause::overloaded, Cause::protocol,    Cause::corrupt,
                         Cause::permanent, Cause::forbidden,  Cause::unauthorized};

template <class R>
constexpr bool stops(R rule, Cause cause) {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const Verb failed = rule.failed(Failure{cause}, turn).verb;
    if (failed != rule.lost(Failure{cause}, turn).verb) throw "failed and lost disagree";
    return failed == Verb::stop;
}

template <class... Causes>
concept Constructible = requires(Causes... causes) { RetryOnly{causes...}; };

}  // namespace

static_assert(sizeof(RetryOnly) == 4);
static_assert(RetryOnly{Cause::lost} == RetryOnly{Cause::lost, Cause::planned});
static_assert(Constructible<Cause> && !Constructible<> && !Constructible<int>);

TEST_CASE("RetryOnly stops after every other cause, failed or lost", "[policy][retry_only][unit]") {
    STATIC_REQUIRE([] {
        for (const Cause cause : all) {
            const bool listed = cause == Cause::timed_out || cause == Cause::overloaded;
            const bool stopped = stops(RetryOnly{Cause::timed_out, Cause::overloaded}, cause);
            if (stopped == (listed || cause == Cause::planned)) return false;
        }
        return true;
    }());
}

TEST_CASE("RetryOnly is the opposite of StopOn, but for what is planned",
          "[policy][retry_only][unit]") {
    for (const Cause listed : all) {
        for (const Cause cause : all) {
            INFO(to_string(listed) << ", " << to_string(cause));
            const bool opposite = stops(RetryOnly{listed}, cause) != stops(StopOn{listed}, cause);
            CHECK((opposite || cause == Cause::planned));
            CHECK_FALSE(stops(RetryOnly{listed}, Cause::planned));
        }
    }
}

TEST_CASE("RetryOnly ends a retry with the answer it got", "[policy][retry_only][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto answer = retry(RetryOnly{Cause::timed_out}, sleeper, [&] {
        return ++calls < 3 ? std::make_error_code(std::errc::timed_out)
                           : std::make_error_code(std::errc::permission_denied);
    });
    CHECK(calls == 3);
    CHECK(answer == std::errc::permission_denied);
    Policy policy{RetryOnly{Cause::timed_out}};
    Turn turn{Instant{}, bits};
    CHECK(policy.lost(Failure{Cause::lost}, turn) == Advice{Verb::stop, never, "RetryOnly"});
    // No state: it would let the next run try.
    CHECK(policy.admit(turn.now).verb == Verb::go);
}
