// SPDX-License-Identifier: MIT
// Goal: a policy from a text decides like the same rules in C++, and a wrong text is rejected with
// the place of its mistake. Method: pairs that get the same random events; a table of mistakes.
#include <belay/json/policy.hpp>

#include <string>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/policy/policy_twins.hpp"

using namespace belay;
using namespace std::chrono_literals;
using policies::read_policies;
using policies::read_policy;

namespace {

std::string wrong_in(const std::string& text) {
    const auto read = read_policy(text);
    return read ? "nothing" : read.error().message();
}

/// Returns the problem of a time in a rule that accepts any time.
std::string wrong_time(const std::string& time) {
    return wrong_in(R"({"max_attempts": 1, "max_elapsed": )" + time + "}");
}

Duration max_elapsed_of(const std::string& time) {
    auto policy = read_policy(R"({"max_attempts": 9, "max_elapsed": ")" + time + "\"}");
    REQUIRE(policy);
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    policy->wanted(turn);
    Duration low{0};
    Duration high = forever;
    while (low < high) {
        const Duration middle = low + (high - low) / 2;
        if (policy->admit(Instant{middle}).verb == Advice::Verb::stop) {
            high = middle;
        } else {
            low = middle + 1ns;
        }
    }
    return low - 1ns;
}

}  // namespace

TEST_CASE("read_policy makes the policy that the same rules in C++ make",
          "[json][policy][property]") {
    CHECK(rc::check("a text of all rules", [] {
        const auto read = read_policy(R"({
            "max_attempts": 20, "max_elapsed": "10min", "spread_hint": {"percent": 50},
            "reset_when_stable": "20s", "attempt_timeout": "9s",
            "breaker": {"failures": 3, "open_for": "40s"},
            "cooldown_on": {"cause": "overloaded", "least": "5s", "most": "15s"},
            "stop_on": ["corrupt", "permanent"],
            "backoff": {"jitter": "equal", "base": "100ms", "cap": "0.5min", "floor": "20ms",
                        "factor": 1.5}})");
        RC_ASSERT(read.has_value());
        belay_test::twins_agree(
            Policy{Backoff{EqualJitter{}, Floor{20ms, Cap{30s}}, Exponential{100ms, 1.5}},
                   CooldownOn{Cause::overloaded, 5s, 15s},
                   Breaker{ConsecutiveFailures{3}, OpenFor{40s}},
                   StopOn{Cause::corrupt, Cause::permanent}, AttemptTimeout{9s},
                   ResetWhenStable{20s}, SpreadHint::plus_percent(50), MaxElapsed{10min},
                   MaxAttempts{20}},
            *read);
    }));
    CHECK(rc::check("texts of other backoffs", [] {
        const auto same = [](const char* text, const auto& rule) {
            const auto read = read_policy(text);
            RC_ASSERT(read.has_value());
            belay_test::twins_agree(Policy{rule}, *read);
        };
        same(R"({"backoff": {"base": "1s", "cap": "30s"}})", Backoff{FullJitter{}, Cap{30s}, 1s});
        same(R"({"backoff": {"base": "1s", "cap": "30s", "jitter": "none", "growth": "linear"}})",
             Backoff{NoJitter{}, Cap{30s}, Linear{1s}});
        same(R"({"backoff": {"base": "1s", "cap": "9s", "jitter": "plus", "percent": 10,
                             "growth": "constant"}})",
             Backoff{ProportionalJitter::plus_percent(10), Cap{9s}, Constant{1s}});
        same(R"({"backoff": {"base": "1s", "cap": "9s", "jitter": "plus_minus", "percent": 20,
                             "growth": "fibonacci"}})",
             Backoff{ProportionalJitter::plus_minus_percent(20), Cap{9s}, Fibonacci{1s}});
        same(R"({"backoff": {"base": "1s", "cap": "30s", "jitter": "decorrelated"}})",
             Backoff{DecorrelatedJitter{}, Cap{30s}, 1s});
        same(R"({"backoff": {"base": "1s", "cap": "30s", "jitter": "smooth"}})",
             Backoff{SmoothJitter{}, Cap{30s}, 1s});
        same(R"({"retry_on": ["lost", "overloaded"], "max_attempts": 50})",
             Policy{StopOn::all_but(Cause::lost, Cause::overloaded), MaxAttempts{50}});
    }));
}

TEST_CASE("read_policy names the rule and the field of a mistake", "[json][policy][unit]") {
    CHECK(wrong_in(R"({"retries": 3})").starts_with(R"(rule "retries": there is no such rule; )"));
    CHECK(wrong_in(R"({"max_attempts": 3, "max_attempts": 3})") ==
          R"(rule "max_attempts": it is there twice)");
    CHECK(wrong_in(R"({"backoff": {"cap": "1s", "base": "1s", "cap": "2s"}})") ==
          R"(rule "backoff", field "cap": it is there twice)");
    CHECK(wrong_in(R"({"backoff": {"base": "100ms", "cap": 30}})") ==
          R"(rule "backoff", field "cap": 30 has no unit; write "30s" or "30ms")");
    CHECK(wrong_in(R"({"backoff": {"base": "100ms"}})") ==
          R"(rule "backoff", field "cap": the field is missing)");
    CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "limit": 1}})")
              .starts_with(R"(rule "backoff", field "limit": there is no such field; )"));
    CHECK(wrong_in(R"({"backoff": "30s"})").starts_with(R"(rule "backoff": the rule must be an )"));
    CHECK(wrong_in(R"({"backoff": {"base": "9s", "cap": "2s"}})")
              .starts_with(R"(rule "backoff", field "cap": )"));
    CHECK(wrong_in(R"({"backoff": {"base": "0s", "cap": "2s"}})")
              .starts_with(R"(rule "backoff", field "base": "0s" is too short)"));
    CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "floor": "1s"}})")
              .starts_with(R"(rule "backoff", field "floor": )"));
    CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "factor": 0.9}})")
              .starts_with(R"(rule "backoff", field "factor": )"));
    CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "jitter": "ful"}})")
              .starts_with(R"(rule "backoff", field "jitter": there is no such jitter)"));
    CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "percent": 10}})")
              .starts_with(R"(rule "backoff", field "percent": only the jitters)"));
    CHECK(
        wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "jitter": "plus", "percent": 101}})") ==
        R"(rule "backoff", field "percent": 101 is not a whole number in [1, 100])");
    CHECK(
        wrong_in(R"({"backoff": {"base": "1s", "cap": "2s", "jitter": "smooth", "floor": "1ms"}})")
            .starts_with(R"(rule "backoff", field "floor": the jitter "smooth" grows by itself)"));
    CHECK(wrong_in(R"({"cooldown_on": {"cause": "slow", "least": "1s", "most": "2s"}})")
              .starts_with(R"(rule "cooldown_on", field "cause": there is no cause "slow"; )"));
    CHECK(wrong_in(R"({"cooldown_on": {"cause": "lost", "least": "3s", "most": "2s"}})")
              .starts_with(R"(rule "cooldown_on", field "most": )"));
    CHECK(wrong_in(R"({"stop_on": ["lost", "lost"]})") ==
          R"(rule "stop_on": the cause "lost" is there twice)");
    CHECK(wrong_in(R"({"stop_on": ["lost"], "retry_on": ["lost"]})")
              .ends_with("a policy has stop_on or retry_on, and not both"));
    CHECK(
        wrong_in(R"({"stop_on": ["none"]})").starts_with(R"(rule "stop_on": there is no cause )"));
    CHECK(wrong_in(R"({"stop_on": []})").starts_with(R"(rule "stop_on": a list is not a list)"));
    for (const char* const number : {"0", "-1", "1.5", "1e30", "99999999999999999999", "\"3\""}) {
        INFO(number);
        CHECK(wrong_in(R"({"max_attempts": )" + std::string{number} + "}")
                  .ends_with("is not a whole number in [1, 1000000000]"));
    }
    // Supervisor::reconnect_now resets the attempts, and not the failures of the breaker.
    CHECK(wrong_in(R"({"breaker": {"failures": 5, "open_for": "30s"}, "max_attempts": 3})") ==
          "nothing");
    CHECK(wrong_in("{}") == R"(no rule waits or stops; add "backoff" or "max_attempts")");
    CHECK(wrong_in("[1]").starts_with("a policy must be an object of rules, not a list"));
    CHECK(wrong_in(R"({"max_attempts": 3)") == "the text is not JSON at byte 19");
    CHECK(wrong_in("{\"\xFF\": 3}").starts_with("the text is not JSON at byte "));
    CHECK(wrong_in("") == "the text is not JSON at byte 1");
}

TEST_CASE("read_policies reports the mistake in each rule of each policy", "[json][policy][unit]") {
    const auto read = read_policies(R"({
        "a": {"backoff": {"base": 1, "cap": 2}, "max_attempts": 0, "max_elapsed": "5s"},
        "b": {"max_attempts": 3},
        "c": {"stop_on": ["lost"]},
        "d": 7
    })");
    REQUIRE_FALSE(read);
    CHECK(read.error().message() ==
          "policy \"a\", rule \"backoff\", field \"base\": 1 has no unit; write \"1s\" or \"1ms\"\n"
          "policy \"a\", rule \"max_attempts\": 0 is not a whole number in [1, 1000000000]\n"
          "policy \"c\": no rule waits or stops; add \"backoff\" or \"max_attempts\"\n"
          "policy \"d\": a policy must be an object of rules, not 7");
    CHECK(read.error().rule == "backoff");
    REQUIRE(read.error().others.size() == 3);
    CHECK(read.error().others[0].rule == "max_attempts");
    CHECK(read.error().others[2].policy == "d");
    CHECK(read_policy(R"({"nonsense": 1, "max_attempts": 0})").error().others.size() == 1);
}

TEST_CASE("read_policies reports at most 16 errors", "[json][policy][bad_input]") {
    std::string text = "{";
    for (int i = 0; i < 500; ++i) {
        text += (i == 0 ? "\"" : ", \"") + std::to_string(1000 + i) +
                R"(": {"max_attempts": 0, "max_elapsed": 1})";
    }
    const auto read = read_policies(text + "}");
    REQUIRE_FALSE(read);
    CHECK(read.error().policy == "1000");
    REQUIRE(read.error().others.size() == 15);
    CHECK(read.error().others.back().policy == "1007");
    CHECK(read.error().others.back().rule == "max_elapsed");
}

TEST_CASE("read_policy reports numbers that no double can hold, and any text after a NUL byte",
          "[json][policy][unit]") {
    // For such a number, nlohmann/json throws another exception than for a text that is not JSON.
    for (const char* const number : {"1e309", "-1e309", "1e999999999"}) {
        INFO(number);
        CHECK(wrong_in(R"({"max_attempts": )" + std::string{number} + "}") ==
              R"(rule "max_attempts": a number is too large)");
        CHECK(wrong_in(R"({"backoff": {"base": "1s", "cap": "1s", "factor": [)" +
                       std::string{number} + "]}}") ==
              R"(rule "backoff", field "factor": a number is too large)");
        const auto all = read_policies(R"({"a": {"max_attempts": )" + std::string{number} + "}}");
        REQUIRE_FALSE(all);
        CHECK(all.error().message() == R"(policy "a", rule "max_attempts": a number is too large)");
    }
    CHECK(wrong_in("1" + std::string(100'000, '0')) == "a number is too large");
    CHECK(wrong_in(R"({"max_attempts": NaN})") == "the text is not JSON at byte 18");
    CHECK(wrong_in(R"({"max_attempts": 9223372036854775808})")
              .ends_with("is not a whole number in [1, 1000000000]"));
    CHECK(wrong_in(R"({"max_attempts": 1} // once)") == "the text is not JSON at byte 21");
    // nlohmann/json treats a NUL byte as the end of the text.
    const std::string text = R"({"max_attempts": 1})";
    CHECK(wrong_in(text + '\0') == "the text is not JSON at byte 20");
    CHECK(wrong_in(text + '\0' + R"({"max_attempts": 2})") == "the text is not JSON at byte 20");
    CHECK(wrong_in("\xEF\xBB\xBF" + text) == "nothing");
}

TEST_CASE("read_policy reads times exactly, and none without a unit", "[json][policy][unit]") {
    CHECK(max_elapsed_of("1ns") == 1ns);
    CHECK(max_elapsed_of("1.5us") == 1500ns);
    CHECK(max_elapsed_of("007ms") == 7ms);
    CHECK(max_elapsed_of("1.000000001s") == 1s + 1ns);
    CHECK(max_elapsed_of("0.1min") == 6s);
    CHECK(max_elapsed_of("1.0ns") == 1ns);
    CHECK(max_elapsed_of("2562047h") == 2562047h);
    for (const char* const text : {"30",
                                   "",
                                   "s",
                                   ".5s",
                                   "1.s",
                                   "1,5s",
                                   "-1s",
                                   "+1s",
                                   " 1s",
                                   "1 s",
                                   "1s ",
                                   "1e3s",
                                   "1S",
                                   "1m",
                                   "1sec",
                                   "0x1s",
                                   "1.5ns",
                                   "1.05ns",
                                   "0.00000000001min",
                                   "1.0000000001s",
                                   "2562048h",
                                   "9223372036854775808ns",
                                   "99999999999999999999999ns",
                                   "inf"}) {
        INFO(text);
        CHECK(
            wrong_time('"' + std::string{text} + '"').find("is not a time of at most 292 years") !=
            std::string::npos);
    }
    CHECK(wrong_time(R"("1 s")").ends_with(R"(min or h, without a space, such as "1.5s")"));
    CHECK(wrong_time("1.5").ends_with(R"(1.5 has no unit; write "1.5s" or "1.5ms")"));
    CHECK(wrong_time("true").ends_with(R"(true is not a time; write "30s" or "100ms")"));
}

TEST_CASE("read_policy rejects a text of 10 MB, 1,000 rules, deep ones and long names",
          "[json][policy][unit]") {
    const std::string huge(10'000'000, ' ');
    CHECK(wrong_in(huge) == "the text has 10000000 bytes, the limit is 1048576");
    const std::string long_name(500'000, 'x');
    CHECK(wrong_in("{\"" + long_name + "\": 1}").size() < 300);
    CHECK(wrong_in(R"({"max_attempts": ")" + long_name + "\"}").size() < 200);
    CHECK(wrong_in(R"({"stop_on": [")" + long_name + "\"]}").size() < 300);
    std::string many = "{\"max_attempts\": 3";
    for (int i = 0; i < 1000; ++i) many += ", \"rule" + std::to_string(i) + "\": 1";
    CHECK(wrong_in(many + "}").find("there is no such rule") != std::string::npos);
    std::string causes = "[\"lost\"";
    for (int i = 0; i < 1000; ++i) causes += ", \"corrupt\"";
    CHECK(wrong_in(R"({"stop_on": )" + causes + "]}").ends_with("longer than there are causes"));
    const std::string deep = "{\"backoff\": " + std::string(500'000, '[');
    CHECK(wrong_in(deep) == R"(the text is nested deeper than a policy)");
    CHECK(wrong_in("{\"x\\u0000\\n\": 1}").starts_with("rule \"x??\": "));
}

TEST_CASE("read_policies reads all policies of a text, or none", "[json][policy][unit]") {
    const auto both =
        read_policies(R"({"payments": {"max_attempts": 2}, "search": {"max_attempts": 1}})");
    REQUIRE(both);
    REQUIRE(both->size() == 2);
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    policies::AnyPolicy payments = both->find("payments")->second;
    CHECK(payments.failed(Failure{Cause::lost}, turn).verb != Advice::Verb::stop);
    CHECK(payments.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);

    const auto wrong = [](const std::string& text) {
        const auto read = read_policies(text);
        return read ? "nothing" : read.error().message();
    };
    CHECK(wrong(R"({"a": {"max_attempts": 1}, "b": {"backoff": {"base": 1, "cap": "1s"}}})") ==
          R"(policy "b", rule "backoff", field "base": 1 has no unit; write "1s" or "1ms")");
    CHECK(wrong(R"({"a": {"max_attempts": 1}, "a": {"max_attempts": 1}})") ==
          R"(policy "a": it is there twice)");
    CHECK(wrong(R"({"a": {"max_attempts": 1, "max_attempts": 1}})") ==
          R"(policy "a", rule "max_attempts": it is there twice)");
    CHECK(wrong(R"({"a": 3})").starts_with(R"(policy "a": a policy must be an object of rules)"));
    CHECK(wrong("3").starts_with("the text must be an object of policies, not 3"));
    std::string many = R"({"0": {"max_attempts": 1})";
    for (int i = 1; i < 1000; ++i) many += ", \"" + std::to_string(i) + R"(": {"max_attempts": 1})";
    CHECK(wrong(many + "}") == "nothing");
    CHECK(wrong(many + R"(, "1000": {"max_attempts": 1}})") ==
          "the text has 1001 policies, the limit is 1000");
    const std::string blanks(detail::policy_text_bytes_max - 2, ' ');
    CHECK(wrong("{" + blanks + "}") == "nothing");
    CHECK(wrong("{ " + blanks + "}") == "the text has 1048577 bytes, the limit is 1048576");
    CHECK(read_policies("{}")->empty());
}

TEST_CASE("A policy that is read from a text can be combined with a Shared breaker",
          "[json][policy][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, SteadyClock{}};
    const auto read =
        read_policy(R"({"backoff": {"base": "1s", "cap": "30s"}, "max_attempts": 9})");
    REQUIRE(read);
    Policy policy{*read, Shared{breaker, FailFast{}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn).by == "CircuitBreaker");
}
