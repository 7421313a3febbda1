// SPDX-License-Identifier: MIT
// Plays each policy of the pages and examples, and the defaults of other libraries, through an outage of its server,
// and prints the tables of docs/reference/stability-table.md.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <belay/backoff/jitters.hpp>
#include <belay/belay.hpp>
#include <belay/call/policies.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/stability_check.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

// The objects to which the Shared rules of a policy refer. Each process has its own.
struct Objects {
    CircuitBreaker<> breaker{ConsecutiveFailures{5}, OpenFor{30s}};
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
    TokenBudget aws_budget{TokenBudgetOptions::aws()};
    policies::AnyJitter jitter = FullJitter{};
    std::optional<MaxElapsed> limit{MaxElapsed{30s}};
    CircuitBreaker<SteadyClock, FailureRate<TimeWindow<>>> rate_breaker{
        FailureRate{TimeWindow<>{30s}, {.percent = 10, .min_calls = 100}}, OpenFor{5s}};
    CircuitBreaker<SteadyClock, FailureRate<TimeWindow<>>> http_breaker{
        FailureRate{TimeWindow<>{30s}, {.percent = 50, .min_calls = 20}}, OpenFor{5s}};
    AdaptiveThrottle throttle{};
    AdaptiveLimit<Aimd> aimd{};
    AdaptiveLimit<Gradient> gradient{};
    RatioBudget envoy_budget{RatioBudgetOptions::envoy()};
    RatioBudget finagle_budget{{.window = 10s, .retries_per_thousand = 200, .at_least = 100}};
};

// The text of a policy, and a function that makes a process that runs it.
#define PLAYED(...)                                             \
    #__VA_ARGS__, [] {                                          \
        struct Process : Objects {                              \
            auto policy() { return as_policy_of(__VA_ARGS__); } \
        };                                                      \
        return std::make_unique<Process>();                     \
    }

template <class... Rules>
auto as_policy_of(Rules... rules) {
    return Policy{rules...};
}

std::string times_of(std::uint64_t per_thousand) {
    char text[32];
    std::snprintf(text, sizeof text, "%llu.%02llu",
                  static_cast<unsigned long long>(per_thousand / 1000),
                  static_cast<unsigned long long>(per_thousand % 1000 / 10));
    return text;
}
std::string seconds_of(Duration d) {
    if (d == forever) return "never";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(d / 100ms) / 10);
    return text;
}
const char* rule_of(std::optional<check::StabilityRule> broken) {
    if (!broken) return "";
    switch (*broken) {
        case check::StabilityRule::calls_stay_bounded_in_the_outage:
            return "calls in the outage";
        case check::StabilityRule::calls_stay_bounded_at_the_return:
            return "calls at the return";
        case check::StabilityRule::calls_stay_bounded_in_trouble:
            return "calls in trouble";
        case check::StabilityRule::goodput_returns:
            return "goodput returns";
        case check::StabilityRule::brown_out_keeps_goodput:
            return "goodput in the brown-out";
        case check::StabilityRule::dials_stay_spread:
            return "dials";
        case check::StabilityRule::clients_return:
            return "clients return";
    }
    return "";
}

template <class Make>
void calls(const char* name, const char* rules, Make make, bool has_breaker = false) {
    for (const Duration queue_wait : {Duration{500ms}, forever}) {
        check::StabilityLoad load;
        load.server.queue_wait_max = queue_wait;
        if (has_breaker) load.brown_out_per_thousand_min = 0;
        const check::StabilityReport report = check::stability(make, load);
        const bool bounded = queue_wait != forever;
        std::printf(
            "| %s%s | %s | %s | %s | %s | %s | %s | %s | %s |\n", bounded ? name : "",
            bounded ? (std::string{*name != '\0' ? ": " : ""} + "`" + rules + "`").c_str() : "",
            bounded ? "500 ms" : "no bound", times_of(report.outage_peak_per_thousand).c_str(),
            report.ended_early ? "over 100" : times_of(report.return_peak_per_thousand).c_str(),
            report.ended_early ? "" : times_of(report.trouble_peak_per_thousand).c_str(),
            seconds_of(report.back_after).c_str(),
            report.ended_early
                ? ""
                : times_of(report.brown_out_good * 1000 / report.brown_out_good_once).c_str(),
            seconds_of(report.longest_call).c_str(), rule_of(report.broken()));
    }
}

template <class Make>
void connections(const char* name, const char* rules, Make make) {
    const check::ReconnectionReport report = check::reconnection(make);
    std::printf("| %s%s`%s` | %llu | %llu of %llu | %s | %s | %s |\n", name,
                *name != '\0' ? ": " : "", rules,
                static_cast<unsigned long long>(report.first_peak),
                static_cast<unsigned long long>(report.later_peak),
                static_cast<unsigned long long>(report.later_peak_max),
                seconds_of(report.longest_wait).c_str(), seconds_of(report.back_after).c_str(),
                rule_of(report.broken()));
}

// Prints the load of each two seconds, as a multiple of the offered load.
template <class Make>
void plot(const char* name, const char*, Make make) {
    check::StabilityLoad load;
    load.server.queue_wait_max = forever;
    const check::StabilityReport report = check::stability(make, load);
    std::string line;
    for (std::size_t s = 0; s + 1 < report.sent_by_second.size(); s += 2) {
        const std::uint64_t two =
            std::uint64_t{report.sent_by_second[s]} + report.sent_by_second[s + 1];
        const std::uint64_t rounded = (two + load.calls_per_second) / (2 * load.calls_per_second);
        line += rounded > 9 ? '+' : static_cast<char>('0' + rounded);
    }
    std::printf("%s\n%s\n\n", name, line.c_str());
}

void plots() {
    std::printf("%-15s%-30s%-45s%-10s%-10s%s\n\n", "steady", "outage", "recovery", "errors", "slow",
                "brown-out");
    plot("one attempt", PLAYED(MaxAttempts{1}));
    plot("four attempts", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{4}));
    plot("no limit on attempts", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}));
    plot("a shared breaker whose callers wait for it",
         PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker}, MaxAttempts{4},
                MaxElapsed{30s}));
    plot("a shared breaker with FailFast",
         PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}}, MaxAttempts{4},
                MaxElapsed{30s}));
    plot("four attempts and gRPC's budget",
         PLAYED(Backoff{FullJitter{}, Cap{1s}, 100ms}, Shared{budget}, MaxAttempts{4}));
}

void ready_made_calls() {
    calls("", PLAYED(MaxAttempts{1}));
    calls("", PLAYED(policies::aws_standard(aws_budget)));
    calls("", PLAYED(policies::bridge()));
    calls("with a budget", PLAYED(policies::bridge(budget)));
    calls("", PLAYED(policies::sync()));
    calls("with a budget", PLAYED(policies::sync(budget)));
    calls("HttpCalls, by default",
          PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms}, SpreadHint::plus_percent(25),
                 Shared{http_breaker, FailFast{}}, Shared{budget}, MaxAttempts{4}),
          true);
}

void calls_of_the_pages() {
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{4}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 10ms}, MaxAttempts{5}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 10ms}, Shared{budget}, MaxAttempts{5}));
    calls("its jitter and a limit are chosen at run time",
          PLAYED(Backoff{jitter, Cap{10s}, 10ms}, limit, Shared{budget}, MaxAttempts{5}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 1s}, Shared{budget}, MaxAttempts{5}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms}, Shared{budget}, MaxAttempts{4}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{60s}, 1s}, MaxAttempts{10}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms},
                     StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized},
                     Shared{budget}, MaxAttempts{4}));
    calls("",
          PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}},
                 Shared{budget}, MaxAttempts{4}, MaxElapsed{30s}),
          true);
    calls("callers that wait",
          PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker}, Shared{budget},
                 MaxAttempts{4}, MaxElapsed{30s}),
          true);
    calls(
        "",
        PLAYED(Backoff{FullJitter{}, Cap{30s}, 10ms}, Shared{breaker, FailFast{}}, MaxAttempts{10}),
        true);
    calls(
        "",
        PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}}, MaxAttempts{5}),
        true);
}

void other_calls_of_the_pages() {
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{throttle, FailFast{}},
                     MaxAttempts{3}));
    calls("with a budget", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms},
                                  Shared{throttle, FailFast{}}, Shared{budget}, MaxAttempts{3}));
    calls("callers that wait",
          PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{throttle}, MaxAttempts{3}));
    calls("",
          PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{aimd, FailFast{}}, MaxAttempts{3}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{gradient, FailFast{}},
                     MaxAttempts{3}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{2ms}, 1ms}, Shared{budget}, MaxAttempts{4}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{1s}, 10ms}, Shared{budget}, MaxAttempts{3}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms},
                     StopOn{Cause::permanent, Cause::unauthorized}, Shared{budget}, MaxAttempts{4},
                     MaxElapsed{30s}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms},
                     StopOn{Cause::permanent, Cause::unauthorized}, Shared{budget},
                     AttemptTimeout{10s}, MaxAttempts{4}));
    calls("",
          PLAYED(Backoff{FullJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}, MaxAttempts{5}),
          true);
    calls("",
          PLAYED(Backoff{FullJitter{}, Cap{5s}, 1s},
                 StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized, Cause::corrupt},
                 Shared{budget}, AttemptTimeout{5s}, MaxAttempts{4}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{30s}, 100ms},
                     StopOn{Cause::permanent, Cause::forbidden}, MaxAttempts{10}));
    calls("", PLAYED(Backoff{FullJitter{}, Cap{10s}, 100ms}));
}

// The defaults of other libraries, by their rules, and not the libraries themselves.
void calls_of_peers() {
    calls("gRPC A6, with throttling",
          PLAYED(Backoff{FullJitter{}, Cap{1s}, 100ms}, Shared{budget}, MaxAttempts{4}));
    calls("Envoy, with its retry budget",
          PLAYED(Backoff{FullJitter{}, Cap{250ms}, 25ms}, Shared{envoy_budget}, MaxAttempts{2}));
    calls("Finagle, with its retry budget", PLAYED(Shared{finagle_budget}, MaxAttempts{26}));
    calls("Polly v8", PLAYED(Backoff{NoJitter{}, Cap{2s}, 2s}, MaxAttempts{4}));
    calls("resilience4j", PLAYED(Backoff{NoJitter{}, Cap{500ms}, 500ms}, MaxAttempts{3}));
    calls("Polly v8, circuit breaker", PLAYED(Shared{rate_breaker, FailFast{}}, MaxAttempts{1}),
          true);
    calls("failsafe-go", PLAYED(MaxAttempts{3}));
}

void connections_of_belay() {
    connections("", PLAYED(policies::connection()));
    connections("", PLAYED(policies::grpc_connection()));
    connections("", PLAYED(policies::reconnection()));
    connections("", PLAYED(Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}));
    connections("", PLAYED(Backoff{FullJitter{}, Cap{1s}, 100ms}));
    connections("", PLAYED(Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s},
                           Shared{budget, AskAgain{15s}}));
    connections("", PLAYED(Backoff{FullJitter{}, Cap{5s}, 100ms}, AttemptTimeout{3s}));
    connections(
        "", PLAYED(Backoff{FullJitter{}, Cap{1s}, 10ms}, CooldownOn{Cause::overloaded, 5s, 15s}));
    connections("", PLAYED(Backoff{NoJitter{}, Cap{30s}, 1s}));
    connections("", PLAYED(Backoff{FullJitter{}, Cap{30s}, 1s}));
    connections("", PLAYED(Backoff{EqualJitter{}, Cap{30s}, 1s}));
    connections("", PLAYED(Backoff{ProportionalJitter::plus_minus_percent(20), Cap{30s}, 1s}));
    connections("", PLAYED(Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}));
    connections("", PLAYED(Backoff{SmoothJitter{}, Cap{30s}, 1s}));
}

void connections_of_peers() {
    connections("socket.io",
                PLAYED(Backoff{ProportionalJitter::plus_minus_percent(50), PreJitterCap{5s}, 1s}));
    connections("Kafka", PLAYED(Backoff{ProportionalJitter::plus_minus_percent(20),
                                        PreJitterCap{1s}, 50ms}));
}

}  // namespace

int main() {
    constexpr std::string_view call_head =
        "| policy | queue | outage | return | trouble | back after | brown-out | longest call | "
        "breaks |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |";
    constexpr std::string_view connection_head =
        "| policy | first dials | later dials | longest wait | back after | breaks |\n"
        "| --- | --- | --- | --- | --- | --- |";
    std::printf("### Calls\n\n%s\n", call_head.data());
    ready_made_calls();
    calls_of_the_pages();
    other_calls_of_the_pages();
    std::printf("\n### Calls, by the defaults of other libraries\n\n%s\n", call_head.data());
    calls_of_peers();
    std::printf("\n### Connections of 10,000 clients\n\n%s\n", connection_head.data());
    connections_of_belay();
    std::printf("\n### Connections, by the defaults of other libraries\n\n%s\n",
                connection_head.data());
    connections_of_peers();
    std::printf("\n### Load over time\n\n```text\n");
    plots();
    std::puts("```");
}
