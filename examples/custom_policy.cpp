// SPDX-License-Identifier: MIT
// Parts of your own: a jitter, a growth, a rule, a trip of a breaker, an observer. Each is a small
// struct with the members that it needs, and goes wherever one of belay's goes.
#include <cstdio>
#include <cstdlib>

#include <belay/belay.hpp>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// A jitter: never early, up to a quarter late.
struct UpToAQuarterLate {
    static constexpr part::WaitRange range(const part::NominalWait& nominal) noexcept {
        const Duration late = part::saturating_add(nominal.wait, nominal.wait / 4);
        return {nominal.wait, late < nominal.most ? late : nominal.most};
    }
};

/// A growth: 1, 4, 9, 16, ... times the unit.
struct Squares {
    Duration unit;
    constexpr Duration operator()(std::uint64_t failures) const noexcept {
        if (failures >= 1'000'000) return forever;
        return part::saturating_multiply(unit, (failures + 1) * (failures + 1));
    }
};

/// A rule: no attempt in the first `quiet` after each full minute of the wall clock, when the jobs
/// of many programs start. An Instant has no time of day, so the rule reads a wall clock. In a
/// simulated world, pass `host.wall_clock()`. Programs that wait for one end would begin together,
/// so each also waits for a random time.
template <WallClockLike WallClock>
struct AvoidMinuteStart {
    static constexpr std::string_view name = "AvoidMinuteStart";
    Duration quiet;
    WallClock wall;
    Duration late{};  // drawn for each attempt: up to 5 s

    // It reads the clock here, and not at the failure: the wall clock may be set during a wait.
    Advice admit(Instant now) const noexcept {
        const Duration into = wall.now().time_since_epoch() % 1min;
        return into < quiet ? Advice::wait_at_least(after(now, quiet - into + late)) : Advice::go();
    }
    void wanted(Turn& turn) noexcept { draw(turn); }
    Advice failed(const Failure&, Turn& turn) noexcept { return draw(turn); }
    Advice lost(const Failure&, Turn& turn) noexcept { return draw(turn); }
    Advice draw(Turn& turn) noexcept {
        late = std::chrono::milliseconds{uniform_upto(turn.bits, 5'000)};
        return Advice::go();
    }
};
template <class WallClock>
AvoidMinuteStart(Duration, WallClock) -> AvoidMinuteStart<WallClock>;

/// A trip: opens when failures are ahead of successes by `lead`.
struct FailuresAhead {
    int lead;
    int balance = 0;
    constexpr bool record(bool failed) noexcept {
        balance = failed ? balance + 1 : (balance > 0 ? balance - 1 : 0);
        return balance >= lead;
    }
    constexpr void reset() noexcept { balance = 0; }
};

/// A virtual wall clock. A program passes a belay::SystemClock instead.
struct VirtualWallClock {
    const VirtualSleeper* sleeper;
    [[nodiscard]] WallTime now() const noexcept {
        return WallTime{sleeper->now().time_since_epoch() + 55s};
    }
};

/// An observer that prints what happened.
struct PrintingObserver {
    const VirtualSleeper& sleeper;
    [[nodiscard]] double at() const {
        return std::chrono::duration<double>(sleeper.now().time_since_epoch()).count();
    }
    void on_attempt(const Attempt& a) const {
        std::printf("%6.2f s  attempt %llu\n", at(), static_cast<unsigned long long>(a.number));
    }
    void on_retry(const RetryPlanned& r) const {
        std::printf("%6.2f s  failed, wait %.2f s, rule %.*s\n", at(),
                    std::chrono::duration<double>(r.wait).count(),
                    static_cast<int>(r.advice.by.size()), r.advice.by.data());
    }
    void on_rejection(const CallRejected& r) const {
        std::printf("%6.2f s  rejected by %.*s\n", at(), static_cast<int>(r.advice.by.size()),
                    r.advice.by.data());
    }
};

}  // namespace

int main() {
    VirtualSleeper sleeper;
    const VirtualWallClock wall{&sleeper};
    const Policy policy{Backoff{UpToAQuarterLate{}, Cap{30s}, Squares{5s}},
                        AvoidMinuteStart{10s, wall}, Breaker{FailuresAhead{3}, OpenFor{40s}},
                        MaxAttempts{8}};
    int calls = 0;
    const auto call = [&] {
        if (wall.now().time_since_epoch() % 1min < 10s) std::abort();  // the rule prevents that
        return ++calls == 5;
    };
    const Result<void> result =
        retry(policy, sleeper, call, NeverStops{}, PrintingObserver{sleeper});
    std::printf("%s after %d calls\n", result ? "worked" : "gave up", calls);
    return result && calls == 5 ? 0 : 1;
}
