// SPDX-License-Identifier: MIT
// Goal: the events of retries have a text. Method: values by hand, each enumerator, and a run of
// retry.
#include <belay/call/call_text.hpp>

#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// A sleeper whose waits end at once.
struct TextSleeper {
    Instant time{};
    Random source{Seed{1}};
    [[nodiscard]] Instant now() const noexcept { return time; }
    [[nodiscard]] Random& bits() noexcept { return source; }
    void sleep_until(Instant until, const auto& /*stop*/) noexcept { time = until; }
};

struct TextsOfARetry {
    std::vector<std::string>& lines;
    void on_attempt(const Attempt& event) { lines.push_back(to_string(event)); }
    void on_retry(const RetryPlanned& event) { lines.push_back(to_string(event)); }
    void on_give_up(const RetryEnded& event) { lines.push_back(to_string(event)); }
};

}  // namespace

TEST_CASE("to_string of each event of a retry names what a log needs", "[call][text][unit]") {
    std::vector<std::string> lines;
    TextSleeper sleeper;
    const Policy policy{Backoff{NoJitter{}, Cap{2ms}, 1ms}, MaxAttempts{2}};
    static_cast<void>(retry(
        policy, sleeper, [] { return false; }, NeverStops{}, TextsOfARetry{lines}));
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "attempt=1");
    CHECK(lines[1].rfind("attempt=1 failure=", 0) == 0);
    CHECK(lines[1].find(" wait=1ms by=Backoff") != std::string::npos);
    CHECK(lines[2] == "attempt=2");
    CHECK(lines[3].rfind("attempts=2 failure=", 0) == 0);
    CHECK(lines[3].find(" by=MaxAttempts") != std::string::npos);
}

TEST_CASE("to_string of an Advice, an Attempt and a CallRejected prints `never` by its name",
          "[call][text][unit]") {
    CHECK(to_string(Advice::go()) == "verb=go");
    CHECK(to_string(Advice::stop()) == "verb=stop until=never");
    CHECK(to_string(Advice{Advice::Verb::suspend, Instant{12s}, "CircuitBreaker"}) ==
          "verb=suspend until=12s by=CircuitBreaker");
    CHECK(to_string(Advice::wait_exactly(Instant{1s})) == "verb=wait_exactly until=1s");
    CHECK(to_string(Advice::wait_at_least(Instant{1s})) == "verb=wait_at_least until=1s");
    CHECK(to_string(static_cast<Advice::Verb>(9)) == "unknown");
    CHECK(to_string(Attempt{.number = 3}) == "attempt=3");
    CHECK(to_string(Attempt{.number = 1, .repeats = true, .deadline = Instant{9s}}) ==
          "attempt=1 repeats=true deadline=9s");
    CHECK(to_string(CallRejected{.attempt = {.number = 2},
                                 .advice = {Advice::Verb::stop, never, "RateLimiter"},
                                 .wait = forever}) ==
          "attempt=2 rejected=true wait=forever by=RateLimiter");
}
