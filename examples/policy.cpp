// SPDX-License-Identifier: MIT
// A policy is a list of rules, and a rule of one's own is a small struct with the hooks it needs.
#include <cstdio>

#include <belay/belay.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

/// Our own rule: stops after the server has reported that the data is damaged.
struct StopOnCorrupt {
    static constexpr std::string_view name = "StopOnCorrupt";

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) const noexcept {
        return failure.cause == Cause::corrupt ? Advice::stop() : Advice::go();
    }
};

int main() {
    Policy policy{
        Backoff{FullJitter{}, Cap{30s}, 1s},
        CooldownOn{Cause::overloaded, 5s, 15s},  // "try again later" closes
        Breaker{ConsecutiveFailures{5}, OpenFor{300s}},
        MaxAttempts{10},
        ResetWhenStable{10s},
        StopOnCorrupt{},
    };

    Instant now{};  // time is passed in, so this example needs none
    Random bits{Seed{1}};
    const Cause causes[] = {Cause::refused,   Cause::refused, Cause::overloaded,
                            Cause::timed_out, Cause::lost,    Cause::corrupt};
    for (const Cause cause : causes) {
        Turn turn{now, bits};
        if (policy.begin(turn).verb != Advice::Verb::go) return 1;
        const Advice advice = policy.failed(Failure{.cause = cause}, turn);
        std::printf("%6.1f s  %-10s -> ",
                    std::chrono::duration<double>(now.time_since_epoch()).count(),
                    to_string(cause).data());
        if (advice.verb == Advice::Verb::stop) {
            std::printf("stop, rule %s\n", advice.by.data());
            return cause == Cause::corrupt ? 0 : 1;
        }
        std::printf("wait %.1f s, rule %s\n",
                    std::chrono::duration<double>(elapsed(now, advice.until)).count(),
                    advice.by.data());
        now = advice.until;
    }
    return 1;
}
