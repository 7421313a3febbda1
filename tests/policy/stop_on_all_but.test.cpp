// SPDX-License-Identifier: MIT
// Goal: every cause except the given ones stops, in every hook. It is the exact opposite of StopOn.
// Method: all causes.
#include <belay/policy/rules.hpp>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>

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
    const Advice::Verb failed = rule.failed(Failure{cause}, turn).verb;
    if (failed != rule.lost(Failure{cause}, turn).verb) throw "failed and lost disagree";
    return failed == Advice::Verb::stop;
}

template <class... Causes>
concept Constructible = requires(Causes... causes) { StopOn::all_but(causes...); };

}  // namespace

static_assert(sizeof(StopOn) == 4);
static_assert(StopOn::all_but(Cause::lost) == StopOn::all_but(Cause::lost, Cause::planned));
static_assert(Constructible<Cause> && !Constructible<> && !Constructible<const char*>);

TEST_CASE("StopOn::all_but stops after every other cause, failed or lost",
          "[policy][stop_on][unit]") {
    STATIC_REQUIRE([] {
        for (const Cause cause : all) {
            const bool listed = cause == Cause::timed_out || cause == Cause::overloaded;
            const bool stopped = stops(StopOn::all_but(Cause::timed_out, Cause::overloaded), cause);
            if (stopped == (listed || cause == Cause::planned)) return false;
        }
        return true;
    }());
}

TEST_CASE("StopOn::all_but is the opposite of StopOn, except for planned failures",
          "[policy][stop_on][unit]") {
    for (const Cause listed : all) {
        for (const Cause cause : all) {
            INFO(to_string(listed) << ", " << to_string(cause));
            const bool opposite = listed == Cause::none || stops(StopOn::all_but(listed), cause) !=
                                                               stops(StopOn{listed}, cause);
            CHECK((opposite || cause == Cause::planned));
            CHECK_FALSE(stops(StopOn::all_but(listed), Cause::planned));
        }
    }
}

TEST_CASE("StopOn::all_but(refused) repeats no call that the server may have executed",
          "[policy][stop_on][unit]") {
    // A server that charges an account if a request reaches it. The answer may be lost. A planned
    // end is no failure: no rule counts it.
    for (const Cause cause : all) {
        if (cause == Cause::planned) continue;
        INFO(to_string(cause));
        Random bits{Seed{1}};
        belay_test::MinimalSleeper sleeper{bits};
        int calls = 0;
        int charged = 0;
        static_cast<void>(
            retry(Policy{StopOn::all_but(Cause::refused), MaxAttempts{3}}, sleeper, [&] {
                ++calls;
                if (cause != Cause::refused) ++charged;
                using Charge = Result<int, Failure>;
                return cause == Cause::none ? Charge{charged} : Charge::failure(Failure{cause});
            }));
        CHECK(charged <= 1);
        CHECK(calls == (cause == Cause::refused ? 3 : 1));
    }
}

TEST_CASE("StopOn::all_but ends a retry with the answer of its last attempt",
          "[policy][stop_on][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto answer = retry(StopOn::all_but(Cause::timed_out), sleeper, [&] {
        return ++calls < 3 ? std::make_error_code(std::errc::timed_out)
                           : std::make_error_code(std::errc::permission_denied);
    });
    CHECK(calls == 3);
    CHECK(answer == std::errc::permission_denied);
    Policy policy{StopOn::all_but(Cause::timed_out)};
    Turn turn{Instant{}, bits};
    CHECK(policy.lost(Failure{Cause::lost}, turn) == Advice{Advice::Verb::stop, never, "StopOn"});
    // The rule has no state: it admits the next run.
    CHECK(policy.admit(turn.now).verb == Advice::Verb::go);
}
