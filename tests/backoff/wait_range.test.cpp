// SPDX-License-Identifier: MIT
// Goal: part::uniform_wait is even over its range, both ends included, the same on every compiler.
#include <belay/backoff/jitters.hpp>

#include <array>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("uniform_wait stays in its range", "[backoff][wait_range][property]") {
    CHECK(rc::check("least <= wait <= most", [](std::uint64_t seed) {
        const auto length =
            rc::gen::oneOf(rc::gen::inRange<Duration::rep>(0, 10),
                           rc::gen::nonNegative<Duration::rep>(), rc::gen::just(forever.count()));
        const Duration a{*length};
        const Duration b{*length};
        const part::WaitRange range = a < b ? part::WaitRange{a, b} : part::WaitRange{b, a};
        Random bits{Seed{seed}};
        for (int i = 0; i < 20; ++i) {
            const Duration wait = part::uniform_wait(range, bits);
            RC_ASSERT(wait >= range.least);
            RC_ASSERT(wait <= range.most);
        }
    }));
}

TEST_CASE("uniform_wait draws each wait equally often", "[backoff][wait_range][unit]") {
    Random bits{Seed{3}};
    std::array<int, 5> observed{};
    for (int i = 0; i < 50'000; ++i) {
        ++observed[static_cast<std::size_t>(
            (part::uniform_wait({10ns, 14ns}, bits) - 10ns).count())];
    }
    for (const int count : observed) {
        CHECK(count > 9'700);
        CHECK(count < 10'300);
    }
    CHECK(part::uniform_wait({7s, 7s}, bits) == 7s);
    CHECK(part::uniform_wait({forever, forever}, bits) == forever);
}

TEST_CASE("uniform_wait draws the same sequence for ever", "[backoff][wait_range][golden]") {
    STATIC_REQUIRE([] {
        Random bits{Seed{7}};
        return part::uniform_wait({0ns, 1s}, bits).count() == 721'508'181 &&
               part::uniform_wait({1s, 2s}, bits).count() == 1'649'704'337 &&
               part::uniform_wait({0ns, 30s}, bits).count() == 16'481'229'748;
    }());
}
