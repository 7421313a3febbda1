// SPDX-License-Identifier: MIT
// Goal: a dial reaches an address that answers, if the others are silent or refuse, and stays
// within its bounds. Method: the decision core in virtual time, with addresses that are silent,
// refuse or connect after a delay; the timings of RFC 8305, and random sets of addresses.
#include <belay/link/detail/dial_race.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <belay/core/random.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::detail::DialRace;

namespace {

/// The result of an attempt at an address.
struct DialFate {
    enum class Kind { silent, fails, connects } kind = Kind::silent;
    Duration delay{};
    Cause cause = Cause::refused;
};
const DialFate silent_fate{};
DialFate refuses(Duration delay) { return {DialFate::Kind::fails, delay}; }
DialFate fails_with(Cause cause) { return {DialFate::Kind::fails, 0ms, cause}; }
DialFate connects(Duration delay) { return {DialFate::Kind::connects, delay}; }

/// Plays a dial, and records its steps, such as "0 start 0".
struct PlayedDial {
    explicit PlayedDial(std::vector<DialFate> addresses, Duration limit = 30s)
        : fates{std::move(addresses)}, race{fates.size()} {
        while (now <= Instant{limit} && !over) {
            run();
            if (!over && !pass(Instant{limit})) break;
        }
    }
    void run() {
        for (;;) {
            const DialRace::Step step = race.next(now);
            switch (step.kind) {
                case DialRace::Kind::wait:
                    return;
                case DialRace::Kind::start:
                    note("start", step.attempt);
                    began[step.attempt] = now;
                    open_most = std::max(open_most, began.size());
                    break;
                case DialRace::Kind::close:
                    note("close", step.attempt);
                    began.erase(step.attempt);
                    break;
                case DialRace::Kind::won:
                    note("won", step.attempt);
                    winner = step.attempt;
                    over = true;
                    return;
                case DialRace::Kind::failed:
                    steps.push_back(at() + "failed");
                    over = true;
                    return;
            }
        }
    }
    /// Moves to the next event.   Returns: false if there is none in time.
    bool pass(Instant limit) {
        Instant next = race.deadline();
        for (const auto& [i, at] : began) {
            if (fates[i].kind != DialFate::Kind::silent) {
                next = std::min(next, after(at, fates[i].delay));
            }
        }
        if (next == never || next > limit) return false;
        now = std::max(now, next);
        const auto open = began;
        for (const auto& [i, at] : open) {
            if (after(at, fates[i].delay) > now) continue;
            if (fates[i].kind == DialFate::Kind::connects) race.connected(i);
            if (fates[i].kind != DialFate::Kind::fails) continue;
            race.failed(i, Failure{.cause = fates[i].cause, .code = static_cast<int>(i)});
            began.erase(i);
        }
        return true;
    }
    std::string at() const { return std::to_string(now.time_since_epoch() / 1ms) + " "; }
    void note(const std::string& what, std::size_t i) {
        steps.push_back(at() + what + " " + std::to_string(i));
    }

    std::vector<DialFate> fates;
    DialRace race;
    Instant now{};
    std::map<std::size_t, Instant> began;  // the open attempts
    std::vector<std::string> steps;
    std::size_t open_most = 0;
    std::optional<std::size_t> winner;
    bool over = false;
};

using DialSteps = std::vector<std::string>;

}  // namespace

TEST_CASE("DialRace makes one attempt if the first address connects within the delay",
          "[link][dial_race][golden]") {
    const PlayedDial dial{{connects(249ms), connects(0ms)}};
    CHECK(dial.steps == DialSteps{"0 start 0", "249 won 0"});
}

TEST_CASE("DialRace starts the next attempt 250 ms after the last (RFC 8305, section 5)",
          "[link][dial_race][golden]") {
    const PlayedDial dial{{silent_fate, silent_fate, connects(10ms)}};
    CHECK(dial.steps == DialSteps{"0 start 0", "250 start 1", "500 start 2", "510 close 0",
                                  "510 close 1", "510 won 2"});
    CHECK(dial.race.was_silent(0));
    CHECK(dial.race.was_silent(1));
    CHECK_FALSE(dial.race.was_silent(2));
}

TEST_CASE("DialRace starts the next attempt at once when one fails", "[link][dial_race][golden]") {
    const PlayedDial dial{{refuses(20ms), silent_fate, refuses(5ms), connects(30ms)}};
    CHECK(dial.steps == DialSteps{"0 start 0", "20 start 1", "270 start 2", "275 start 3",
                                  "305 close 1", "305 won 3"});
    CHECK_FALSE(dial.race.was_silent(0));
    CHECK(dial.race.was_silent(1));
}

TEST_CASE("DialRace uses an earlier attempt that connects late", "[link][dial_race][golden]") {
    const PlayedDial dial{{connects(600ms), silent_fate, silent_fate}};
    CHECK(dial.steps == DialSteps{"0 start 0", "250 start 1", "500 start 2", "600 close 1",
                                  "600 close 2", "600 won 0"});
    // The other attempts had no time to answer.
    CHECK_FALSE(dial.race.was_silent(1));
    CHECK_FALSE(dial.race.was_silent(2));
    CHECK_FALSE(dial.race.was_silent(0));
}

TEST_CASE("DialRace takes the first in the order if two connect at the same time",
          "[link][dial_race][unit]") {
    const PlayedDial dial{{connects(260ms), connects(10ms)}};
    CHECK(dial.winner == 0);
    CHECK(dial.steps.back() == "260 won 0");
}

TEST_CASE("DialRace abandons the oldest attempt when a fifth is due", "[link][dial_race][golden]") {
    const PlayedDial dial{{silent_fate, silent_fate, silent_fate, silent_fate, connects(10ms)}};
    CHECK(dial.steps == DialSteps{"0 start 0", "250 start 1", "500 start 2", "750 start 3",
                                  "1000 close 0", "1000 start 4", "1010 close 1", "1010 close 2",
                                  "1010 close 3", "1010 won 4"});
    for (std::size_t i = 0; i < 4; ++i) CHECK(dial.race.was_silent(i));
}

TEST_CASE("DialRace gives each attempt one second, also if others fail in that second",
          "[link][dial_race][regression]") {
    // The three before the fourth fail, and those after them start at once.
    const PlayedDial dial{{refuses(760ms), refuses(520ms), refuses(280ms), connects(999ms),
                           silent_fate, silent_fate, silent_fate, silent_fate, silent_fate}};
    CHECK(dial.winner == 3);
    CHECK(dial.steps.back() == "1749 won 3");
}

TEST_CASE("DialRace never abandons the last four attempts", "[link][dial_race][unit]") {
    std::vector<DialFate> addresses(16);
    addresses[12] = connects(20s);
    const PlayedDial dial{addresses};
    CHECK(dial.winner == 12);
    CHECK(dial.steps.back() == "23000 won 12");
}

TEST_CASE("DialRace tries at most 16 addresses", "[link][dial_race][unit]") {
    const PlayedDial dial{std::vector<DialFate>(200, refuses(0ms))};
    CHECK(dial.race.started() == 16);
    CHECK(dial.steps.back() == "0 failed");
}

TEST_CASE("DialRace fails at once without an address", "[link][dial_race][unit]") {
    const PlayedDial dial{{}};
    CHECK(dial.steps == DialSteps{"0 failed"});
    CHECK(dial.race.failure() == Failure{});
}

TEST_CASE("DialRace fails with the most severe cause, and the first of equal ones",
          "[link][dial_race][unit]") {
    const PlayedDial dial{{fails_with(Cause::refused), fails_with(Cause::forbidden),
                           fails_with(Cause::lost), fails_with(Cause::forbidden)}};
    CHECK(dial.steps.back() == "0 failed");
    CHECK(dial.race.failure().cause == Cause::forbidden);
    CHECK(dial.race.failure().code == 1);
}

TEST_CASE("DialRace: a failure of this side counts only if no address has failed otherwise",
          "[link][dial_race][regression]") {
    const auto failure = [](std::initializer_list<std::errc> errors) {
        DialRace race{errors.size()};
        std::size_t i = 0;
        for (const std::errc error : errors) {
            REQUIRE(race.next(Instant{}).kind == DialRace::Kind::start);
            race.failed(i++, Failure::from(std::make_error_code(error)));
        }
        REQUIRE(race.next(Instant{}).kind == DialRace::Kind::failed);
        return race.failure();
    };
    using enum std::errc;
    // Most programs have no route for one family of addresses.
    CHECK(failure({network_unreachable, connection_refused}).error() == connection_refused);
    CHECK(failure({permission_denied, timed_out}).error() == timed_out);
    CHECK(failure({connection_refused, too_many_files_open}).error() == connection_refused);
    CHECK(failure({network_unreachable, network_down}).error() == network_unreachable);
}

TEST_CASE("DialRace ends when the last attempt has had its time", "[link][dial_race][unit]") {
    const PlayedDial dial{{silent_fate, silent_fate}};
    CHECK(dial.steps == DialSteps{"0 start 0", "250 start 1"});
    CHECK(dial.now == Instant{500ms});
    CHECK(dial.race.deadline() == never);
    CHECK(dial.race.was_silent(0));
    CHECK(dial.race.was_silent(1));
}

TEST_CASE("DialRace counts an attempt that the system has timed out as silent",
          "[link][dial_race][unit]") {
    const PlayedDial dial{{fails_with(Cause::timed_out), refuses(0ms)}};
    CHECK(dial.race.was_silent(0));
    CHECK_FALSE(dial.race.was_silent(1));
}

TEST_CASE("DialRace ignores the results of attempts that are not open", "[link][dial_race][unit]") {
    DialRace race{2};
    race.connected(0);
    race.failed(1, Failure{.cause = Cause::refused});
    CHECK(race.next(Instant{1s}) == DialRace::Step{DialRace::Kind::start, 0});
    CHECK(race.next(Instant{1s}).kind == DialRace::Kind::wait);
    race.failed(0, Failure{.cause = Cause::refused});
    race.connected(0);
    race.failed(0, Failure{.cause = Cause::forbidden});
    CHECK(race.open() == 0);
    CHECK(race.next(Instant{1s}) == DialRace::Step{DialRace::Kind::start, 1});
    CHECK(race.failure().cause == Cause::refused);
}

TEST_CASE("DialRace does not wait because a clock went back", "[link][dial_race][unit]") {
    DialRace race{2};
    CHECK(race.next(Instant{1h}).kind == DialRace::Kind::start);
    CHECK(race.next(Instant{0s}).kind == DialRace::Kind::wait);
    CHECK(race.deadline() == Instant{1h + 250ms});
    CHECK(race.now() == Instant{1h});
}

namespace {

std::vector<DialFate> random_fates(Random& bits) {
    std::vector<DialFate> fates(static_cast<std::size_t>(uniform_upto(bits, 20)));
    for (DialFate& fate : fates) {
        fate.kind = static_cast<DialFate::Kind>(uniform_upto(bits, 2));
        fate.delay = 10ms * static_cast<int>(uniform_upto(bits, 200));
        fate.cause = static_cast<Cause>(2 + uniform_upto(bits, 8));
    }
    return fates;
}
/// Whether a dial must connect: an address connects before the dial may abandon it.
bool must_connect(const std::vector<DialFate>& fates) {
    const std::size_t tried = std::min<std::size_t>(fates.size(), DialRace::attempts_max);
    for (std::size_t i = 0; i < tried; ++i) {
        const bool stays = i + DialRace::open_max >= tried;
        const bool quick = fates[i].delay < 1s;
        if (fates[i].kind == DialFate::Kind::connects && (stays || quick)) return true;
    }
    return false;
}
Cause worst_cause(const PlayedDial& dial) {
    Cause worst = Cause::none;
    for (std::size_t i = 0; i < dial.race.started(); ++i) {
        worst = std::max(worst, dial.race.failure_of(i).cause);
    }
    return worst;
}

void check_bounds(const std::vector<DialFate>& fates) {
    const PlayedDial dial{fates};
    RC_ASSERT(dial.open_most <= DialRace::open_max);
    RC_ASSERT(dial.race.started() <= DialRace::attempts_max);
    if (must_connect(fates)) RC_ASSERT(dial.winner.has_value());
    if (dial.winner) {
        RC_ASSERT(fates[*dial.winner].kind == DialFate::Kind::connects);
        // All other attempts were closed before the success was reported.
        RC_ASSERT(dial.began.size() == 1);
        RC_ASSERT(dial.began.begin()->first == *dial.winner);
    } else {
        // It has tried every address that it may try, and waits only for silent ones.
        RC_ASSERT(dial.race.started() ==
                  std::min<std::size_t>(fates.size(), DialRace::attempts_max));
        for (const auto& [i, at] : dial.began) {
            RC_ASSERT(fates[i].kind == DialFate::Kind::silent);
        }
        RC_ASSERT(dial.over == dial.began.empty());
        RC_ASSERT(dial.race.failure().cause == worst_cause(dial));
    }
}

}  // namespace

TEST_CASE("DialRace keeps its bounds for any addresses", "[link][dial_race][property]") {
    CHECK(rc::check("dials of random addresses", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 20; ++i) check_bounds(random_fates(bits));
    }));
}

TEST_CASE("DialRace reaches an address that answers within a second among silent ones",
          "[link][dial_race][property]") {
    CHECK(rc::check("silent addresses and one that connects", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        std::vector<DialFate> fates(1 + static_cast<std::size_t>(uniform_upto(bits, 15)));
        const auto good = static_cast<std::size_t>(uniform_upto(bits, fates.size() - 1));
        fates[good] = connects(1ms * static_cast<int>(uniform_upto(bits, 999)));
        const PlayedDial dial{fates};
        RC_ASSERT(dial.winner == good);
        RC_ASSERT(dial.now == Instant{250ms * static_cast<int>(good) + fates[good].delay});
    }));
}
