// SPDX-License-Identifier: MIT
// Goal: children of a fork have the same waits as their parent, unless their generators are seeded
// again. Method: real processes, which report their draws by a pipe.
#include <array>
#include <cstdint>

#include <sys/wait.h>
#include <unistd.h>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry.hpp>
#include <belay/drive/thread_sleeper.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// Returns the results of `draw` in two children of this process.
template <class Draw>
std::array<std::int64_t, 2> drawn_in_children(Draw draw) {
    std::array<std::int64_t, 2> drawn{};
    for (std::int64_t& value : drawn) {
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const std::int64_t mine = draw();
            _exit(write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
        }
        close(ends[1]);
        CHECK(read(ends[0], &value, sizeof value) == sizeof value);
        close(ends[0]);
        waitpid(child, nullptr, 0);
    }
    return drawn;
}

struct SleeperWithoutSleep {
    [[nodiscard]] Instant now() const noexcept { return time; }
    [[nodiscard]] Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto&) noexcept { time = until; }

    Instant time{1000s};
    Random random{Seed{1}};
};
struct LastWait {
    void on_retry(const RetryPlanned& planned) noexcept { wait = planned.wait.count(); }

    std::int64_t wait = 0;
};

// Returns the wait of a retry in a child that is forked during its second attempt.
std::int64_t planned_in_child(bool seeds_again) {
    const Policy policy{MaxAttempts{3}, Backoff{FullJitter{}, Cap{1h}, 1h}};
    SleeperWithoutSleep sleeper;
    LastWait last;
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t child = -1;
    int calls = 0;
    const auto attempt = [&] {
        if (++calls == 2) {
            child = fork();
            if (child == 0 && seeds_again) sleeper.bits().reseed_after_fork();
        }
        return child > 0;
    };
    const bool worked = retry(policy, sleeper, attempt, NeverStops{}, last).has_value();
    if (child == 0) _exit(write(ends[1], &last.wait, sizeof last.wait) == sizeof last.wait ? 0 : 1);
    CHECK(worked);
    close(ends[1]);
    std::int64_t wait = 0;
    CHECK(read(ends[0], &wait, sizeof wait) == sizeof wait);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return wait;
}

}  // namespace

TEST_CASE("Children of a fork draw the same wait, unless reseed_after_fork is called",
          "[posix][reseed_after_fork][unit]") {
    Backoff backoff{FullJitter{}, Cap{1h}, 1h};
    static_cast<void>(backoff.next());
    const auto same = drawn_in_children([&] { return backoff.next().count(); });
    CHECK(same[0] == same[1]);
    CHECK(same[0] == backoff.next().count());
    const auto different = drawn_in_children([&] {
        backoff.reseed_after_fork();
        return backoff.next().count();
    });
    CHECK(different[0] != different[1]);
}

TEST_CASE("reseed_after_fork reseeds the generator of a sleeper",
          "[posix][reseed_after_fork][unit]") {
    ThreadSleeper sleeper;
    static_cast<void>(sleeper.bits()());
    const auto drawn = drawn_in_children([&] {
        sleeper.bits().reseed_after_fork();
        return static_cast<std::int64_t>(sleeper.bits()());
    });
    CHECK(drawn[0] != drawn[1]);
}

TEST_CASE("reseed_after_fork reseeds the open wait of a CircuitBreaker",
          "[posix][reseed_after_fork][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, Backoff{FullJitter{}, Cap{1h}, 1h}};
    breaker.acquire().failure();
    breaker.set_mode(BreakerMode::automatic);
    const auto open_wait = [&] {
        breaker.acquire().failure();
        return breaker.spread().count();
    };
    const auto same = drawn_in_children(open_wait);
    CHECK(same[0] == same[1]);
    const auto different = drawn_in_children([&] {
        breaker.reseed_after_fork();
        return open_wait();
    });
    CHECK(different[0] != different[1]);
}

TEST_CASE("reseed_after_fork reseeds a retry that runs while its process forks",
          "[posix][reseed_after_fork][unit]") {
    CHECK(planned_in_child(false) == planned_in_child(false));
    CHECK(planned_in_child(true) != planned_in_child(true));
}
