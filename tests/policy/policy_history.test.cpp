// SPDX-License-Identifier: MIT
// Goal: a saved history is restored, aged by the time without the program. Other bytes are
// rejected. Method: round trips of random histories, every bit flipped, and clocks that jump.
#include <belay/policy/remembered.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant present{1000h};
constexpr WallTime today{500'000h};

Bytes save(const PolicyHistory& history, Instant now = present, WallTime wall = today) {
    std::array<std::byte, PolicyHistory::bytes_max> room;
    return to_bytes(history.save(room, now, wall));
}

PolicyHistory three_verdicts() {
    PolicyHistory history;
    history.note(present - 60s, belay::detail::Outcome::succeeded, {}, always);
    history.note(present - 20s, belay::detail::Outcome::lost, {.cause = Cause::lost},
                 present - 19s);
    history.note(present - 5s, belay::detail::Outcome::failed,
                 {.cause = Cause::overloaded, .retry_after = 1500ms}, present + 8s);
    return history;
}

}  // namespace

TEST_CASE("PolicyHistory is restored after another start of the machine",
          "[policy][policy_history][unit]") {
    const Bytes saved = save(three_verdicts());
    CHECK(saved.size() <= PolicyHistory::bytes_max);

    PolicyHistory restored;
    // After another start of the machine, where the steady clock began again.
    const Instant now{7s};
    REQUIRE(restored.restore(saved, now, today + 3s));
    REQUIRE(restored.events().size() == 3);
    CHECK(restored.events()[0].what == belay::detail::Outcome::succeeded);
    CHECK(restored.events()[0].at == now - 63s);
    CHECK(restored.events()[1].what == belay::detail::Outcome::lost);
    CHECK(restored.events()[1].cause == Cause::lost);
    CHECK(restored.events()[1].at == now - 23s);
    CHECK(restored.events()[2].what == belay::detail::Outcome::failed);
    CHECK(restored.events()[2].cause == Cause::overloaded);
    CHECK(restored.events()[2].retry_after == 1500ms);
    CHECK(restored.until() == now + 5s);
    CHECK_FALSE(restored.attempting());
}

TEST_CASE("PolicyHistory records an attempt that did not end", "[policy][policy_history][unit]") {
    PolicyHistory history = three_verdicts();
    history.began();
    PolicyHistory restored;
    REQUIRE(restored.restore(save(history), present, today));
    CHECK(restored.attempting());
    history.abandoned(present);
    REQUIRE(restored.restore(save(history), present, today));
    CHECK_FALSE(restored.attempting());
}

TEST_CASE("PolicyHistory never lengthens a wait, for any wall clock",
          "[policy][policy_history][unit]") {
    const Bytes saved = save(three_verdicts());
    PolicyHistory restored;
    REQUIRE(restored.restore(saved, present, today - 100h));
    CHECK(restored.until() == present + 8s);
    REQUIRE(restored.restore(saved, present, today + 100h));
    CHECK(restored.until() <= present);
    REQUIRE(restored.restore(saved, present, WallTime::min()));
    CHECK(restored.until() == present + 8s);
    REQUIRE(restored.restore(saved, present, WallTime::max()));
    CHECK(restored.until() <= present);
    // Ages before the beginning of the steady clock are clamped to it.
    REQUIRE(restored.restore(saved, always + 1ns, WallTime::max()));
    CHECK(restored.events()[0].at > always);
}

TEST_CASE("PolicyHistory stores no wait that this side requested",
          "[policy][policy_history][regression]") {
    PolicyHistory history;
    Failure rejected{.cause = Cause::overloaded, .retry_after = 10s};
    rejected.origin = Failure::Origin::local;
    history.note(present, belay::detail::Outcome::failed, rejected, present + 10s);
    CHECK(history.events()[0].retry_after == 0s);
    CHECK(history.until() == present + 10s);
}

TEST_CASE("PolicyHistory accepts empty bytes as an empty history",
          "[policy][policy_history][unit]") {
    PolicyHistory restored = three_verdicts();
    CHECK(restored.restore({}, present, today));
    CHECK(restored.events().empty());
    CHECK(restored.until() == always);
}

TEST_CASE("PolicyHistory rejects bytes that it did not save, and is then empty",
          "[policy][policy_history][property]") {
    const Bytes saved = save(three_verdicts());
    for (std::size_t bit = 0; bit < saved.size() * 8; ++bit) {
        Bytes damaged = saved;
        damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
        PolicyHistory restored = three_verdicts();
        CHECK_FALSE(restored.restore(damaged, present, today));
        CHECK(restored.events().empty());
        CHECK(restored.until() == always);
    }
    for (std::size_t length = 1; length < saved.size(); ++length) {
        PolicyHistory restored;
        CHECK_FALSE(restored.restore(BytesView{saved}.first(length), present, today));
    }
    Bytes longer = saved;
    longer.push_back(std::byte{0});
    PolicyHistory restored;
    CHECK_FALSE(restored.restore(longer, present, today));
}

TEST_CASE("PolicyHistory rejects invalid contents with a right checksum",
          "[policy][policy_history][unit]") {
    const auto refuses = [](std::size_t offset, std::uint8_t value) {
        Bytes saved = save(three_verdicts());
        saved[offset] = static_cast<std::byte>(value);
        store_le(saved.data(), part::crc32c(BytesView{saved}.subspan(4)));
        PolicyHistory restored;
        const bool taken = restored.restore(saved, present, today);
        return !taken && restored.events().empty();
    };
    constexpr std::size_t first = 24;
    CHECK(refuses(4, 0));                // another version
    CHECK(refuses(4, 2));                // another version
    CHECK(refuses(5, 30));               // more events than the maximum
    CHECK(refuses(first, 0));            // no kind
    CHECK(refuses(first, 6));            // a kind of a later version
    CHECK(refuses(first + 1, 11));       // a cause of a later version
    CHECK(refuses(first + 2, 0));        // zero repetitions
    CHECK(refuses(first + 16 + 15, 1));  // older than the event before it
}

TEST_CASE("PolicyHistory stores the number of all failures, and the times of the last ones",
          "[policy][policy_history][unit]") {
    PolicyHistory history;
    for (int i = 0; i < 100'000; ++i) {
        history.note(present + i * 1s, belay::detail::Outcome::failed, {.cause = Cause::lost},
                     always);
    }
    REQUIRE(history.events().size() == PolicyHistory::events_max);
    // 16 bits of repetitions, and the 28 others.
    CHECK(history.events().front().times == 0xFFFF);
    CHECK(history.repeated_at(0, 0) == history.events().front().at);
    CHECK(history.repeated_at(0, 0xFFFE) == history.events().front().at - 0xFFFE * 1s);
    CHECK(history.events().back().at == present + 99'999s);
    CHECK(history.events().back().times == 1);
    CHECK(save(history, present + 100'000s).size() <= PolicyHistory::bytes_max);

    PolicyHistory few;
    for (int i = 0; i < 40; ++i)
        few.note(present + i * 1s, belay::detail::Outcome::failed, {}, always);
    std::uint64_t times = 0;
    for (const PolicyHistory::Event& event : few.events()) times += event.times;
    CHECK(times == 40);
    // The events before a success have no effect any more.
    for (int i = 0; i < 29; ++i)
        few.note(present + 100s, belay::detail::Outcome::succeeded, {}, always);
    for (const PolicyHistory::Event& event : few.events()) CHECK(event.times == 1);
}

TEST_CASE("PolicyHistory repeats no failure before the beginning of the clock",
          "[policy][policy_history][unit]") {
    PolicyHistory history;
    const Instant first = always + 1h;
    for (int i = 0; i < 100; ++i) {
        history.note(first + i * 1h, belay::detail::Outcome::failed, {}, always);
    }
    CHECK(history.repeated_at(0, 71) == first);
    CHECK(history.repeated_at(0, 72) == always + 1ns);
    CHECK(history.repeated_at(0, 0xFFFF) == always + 1ns);
}

TEST_CASE(
    "PolicyHistory keeps the event that started the attempts, and the number of failures after it",
    "[policy][policy_history][unit]") {
    PolicyHistory history;
    history.wanted(present);
    for (int i = 0; i < 100; ++i) {
        history.note(present + i * 1s, belay::detail::Outcome::failed, {}, always);
        history.wanted(present + i * 1s);
    }
    REQUIRE(history.events().size() == PolicyHistory::events_max);
    CHECK(history.events()[0].what == belay::detail::Outcome::wanted);
    CHECK(history.events()[0].at == present);
    CHECK(history.events()[1].times == 100 - 27);
    CHECK(history.repeated_at(1, 0) == present + 72s);
    CHECK(history.repeated_at(1, 72) > present);
    CHECK(history.repeated_at(1, 72) < present + 1s);
    CHECK(history.events().back().at == present + 99s);
    // A success ends it.
    history.note(present + 100s, belay::detail::Outcome::succeeded, {}, always);
    for (int i = 0; i < 28; ++i)
        history.note(present + 101s, belay::detail::Outcome::failed, {}, always);
    CHECK(history.events()[0].what != belay::detail::Outcome::wanted);
}

TEST_CASE("PolicyHistory is unchanged by any sequence of restarts, except for its age",
          "[policy][policy_history][property]") {
    CHECK(rc::check("restored histories are the saved ones, aged by the passed time", [] {
        PolicyHistory history;
        Instant now = present;
        WallTime wall = today;
        const int steps = *rc::gen::inRange(1, 60);
        for (int i = 0; i < steps; ++i) {
            const Duration passed{*rc::gen::inRange<std::int64_t>(0, 5'000'000'000)};
            now += passed;
            wall += passed;
            const auto what = static_cast<belay::detail::Outcome>(*rc::gen::inRange(1, 6));
            const auto cause = static_cast<Cause>(*rc::gen::inRange(0, 11));
            history.note(now, what, {.cause = cause}, now + passed);
            if (*rc::gen::inRange(0, 4) != 0) continue;
            const std::vector<PolicyHistory::Event> before(history.events().begin(),
                                                           history.events().end());
            const Bytes saved = save(history, now, wall);
            const Instant other{Duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000)}};
            PolicyHistory restored;
            RC_ASSERT(restored.restore(saved, other, wall));
            RC_ASSERT(restored.events().size() == before.size());
            for (std::size_t k = 0; k < before.size(); ++k) {
                const PolicyHistory::Event& event = restored.events()[k];
                RC_ASSERT(event.what == before[k].what && event.cause == before[k].cause);
                RC_ASSERT(event.times == before[k].times);
                RC_ASSERT(other - event.at == now - before[k].at);
            }
            RC_ASSERT(elapsed(other, restored.until()) == elapsed(now, history.until()));
            now = other;
            history = restored;
        }
    }));
}
