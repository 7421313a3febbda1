// SPDX-License-Identifier: MIT
#include <cstdio>
#include <map>
#include <string>

#include <belay/belay.hpp>
#include <belay/breaker/breaker_metrics.hpp>
#include <belay/drive.hpp>
#include <belay/metrics.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct Rejections {
    std::map<std::string, std::uint64_t> by{};
    void on_rejection(const CallRejected& call) { ++by[std::string{call.advice.by}]; }  // a rule that waits
    void on_give_up(const RetryEnded& end) {                                            // a rule with FailFast
        if (end.why == CallErrc::call_rejected) ++by[std::string{end.rule()}];
    }
};

template <class Visitor>
void visit_metrics(const Rejections& rejections, Visitor&& visitor) {
    for (const auto& [rule, count] : rejections.by) {
        visitor(metrics::Metric{
            .part = "calls", .name = "rejected", .help = "Calls that were rejected.", .value = count, .key = "by", .label = rule});
    }
}
// excerpt: end

int main() {
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{30s}};
    const Policy policy{Backoff{FullJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}, MaxAttempts{5}};
    Rejections rejections;
    // excerpt: begin
    for (int i = 0; i < 10; ++i)
        static_cast<void>(retry(
            policy, [] { return false; }, NeverStops{}, rejections));
    metrics::Page page;
    page.add("payments", breaker);
    page.add("payments", rejections);
    // excerpt: end
    std::string text;
    to_prometheus(text, page);
    for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = text.find('\n', begin);
        const std::string line = text.substr(begin, end - begin);
        if (line.find("rejected_total{") != std::string::npos) std::puts(line.c_str());
    }
}
