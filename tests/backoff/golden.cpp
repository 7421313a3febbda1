// SPDX-License-Identifier: MIT
// A program without a framework: the waits must be the same with every compiler, optimization and
// standard library. It is built by the project's compiler, and with libc++ if there is one, for
// which no test framework is packaged. Each number is computed from thousands of waits.
#include <cstdint>
#include <cstdio>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/policies.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(const char* what, std::uint64_t observed, std::uint64_t wanted) {
    if (observed == wanted) return;
    std::printf("%s: 0x%016llX, must be 0x%016llX\n", what,
                static_cast<unsigned long long>(observed), static_cast<unsigned long long>(wanted));
    ++failures;
}

constexpr std::uint64_t added(std::uint64_t sum, Duration wait) {
    return detail::mix64(sum ^ static_cast<std::uint64_t>(wait.count()));
}

// 50 runs of 40 waits.
template <class B>
std::uint64_t waits_of(B backoff) {
    Random bits{Seed{7}};
    std::uint64_t sum = 0;
    for (int run = 0; run < 50; ++run) {
        backoff.reset();
        for (int n = 0; n < 40; ++n) sum = added(sum, backoff.next(bits));
    }
    return sum;
}

template <class G>
std::uint64_t waits_without_jitter(const G& growth) {
    std::uint64_t sum = 0;
    for (std::uint64_t n = 0; n < 400; ++n) sum = added(sum, growth(n));
    return sum;
}

// The failures of an outage, some of them with a hint.
template <class P>
std::uint64_t advised_by(P policy) {
    Random bits{Seed{9}};
    Turn turn{Instant{} + 1h, bits};
    std::uint64_t sum = 0;
    for (int n = 0; n < 1000; ++n) {
        static_cast<void>(policy.begin(turn));
        Failure failure{n % 7 == 6 ? Cause::overloaded : Cause::lost};
        if (n % 5 == 4) failure.retry_after = 20s;
        const Advice advice = policy.failed(failure, turn);
        sum = added(sum, advice.until - turn.now);
        sum = added(sum, Duration{static_cast<int>(advice.verb)});
        if (advice.verb == Advice::Verb::stop || n % 11 == 10) policy.reset();
    }
    return sum;
}

}  // namespace

int main() {
    check("FullJitter", waits_of(Backoff{FullJitter{}, Cap{30s}, 1s}), 0x604A5A28EB9F94B7U);
    check("EqualJitter", waits_of(Backoff{EqualJitter{}, Cap{9s}, Exponential{1s, 1.6}}),
          0x2C234A986C537CECU);
    check("plus_percent",
          waits_of(Backoff{ProportionalJitter::plus_percent(10), Cap{60s}, Linear{1s}}),
          0xAF9D46D23A147718U);
    check("plus_minus_percent",
          waits_of(Backoff{ProportionalJitter::plus_minus_percent(20), PreJitterCap{120s},
                           Fibonacci{300ms}}),
          0xD1192234B527E12BU);
    check("DecorrelatedJitter", waits_of(Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}),
          0xA39E32FDC00989E6U);
    check("SmoothJitter", waits_of(Backoff{SmoothJitter{}, Cap{30s}, 1s}), 0xAD28B281707158CEU);
    check("SmoothJitter without cap", waits_of(Backoff{SmoothJitter{}, NoCap{}, 1s}),
          0x7C823E735E37C825U);
    check("Floor", waits_of(Backoff{FullJitter{}, Floor{600ms, Cap{9s}}, 1s}), 0x4892E6A053F57FF5U);
    check("Delays", waits_of(Backoff{FullJitter{}, NoCap{}, Delays{0s, 2s, 10s, 30s}}),
          0x3CC45ACC1704255FU);
    check("1.6", waits_without_jitter(Exponential{1s, 1.6}), 0x0B4BA3B2BC1C8FD0U);
    check("1.3", waits_without_jitter(Exponential{100ms, 1.3}), 0x4587D31304C3F06FU);
    check("1.001", waits_without_jitter(Exponential{7ns, 1.001}), 0x0A3BCA7A34B5BA6CU);
    check("square root of 2", waits_without_jitter(Exponential{1s, 1.41421356237309504880}),
          0x643AD9E8437C6C5AU);
    check("a third", waits_without_jitter(Exponential{1s, 4.0 / 3}), 0xCDE22D1451DCE727U);
    check("policies::grpc_connection", advised_by(policies::grpc_connection()),
          0x64305FED31ECF223U);
    check("policies::reconnection", advised_by(policies::reconnection()), 0xDACBEA1E95409092U);
    check("policies::connection", advised_by(policies::connection()), 0x52C2249077C3BD1BU);
    check("SpreadHint",
          advised_by(Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, SpreadHint::plus_percent(50)}),
          0x6378777F51789741U);
    if (failures == 0) std::puts("golden: all waits are as they must be");
    return failures;
}
