// SPDX-License-Identifier: MIT
// Goal: the generator is fixed for ever, seeds itself only at run time, and draws without bias.
#include <belay/core/random.hpp>

#include <array>
#include <limits>

#include "support/catch.hpp"

using namespace belay;

namespace {

constexpr std::uint64_t nth(std::uint64_t seed, int n) {
    Random bits{Seed{seed}};
    std::uint64_t value = 0;
    for (int i = 0; i < n; ++i) value = bits();
    return value;
}

constinit Random static_a;
constinit Random static_b;
const Random const_bits;

}  // namespace

TEST_CASE("Random repeats the published values of splitmix64", "[core][random][golden]") {
    // The reference implementation started at 1234567: S. Vigna, splitmix64.c.
    STATIC_REQUIRE(nth(1234567, 1) == 6457827717110365317U);
    STATIC_REQUIRE(nth(1234567, 2) == 3203168211198807973U);
    STATIC_REQUIRE(nth(1234567, 3) == 9817491932198370423U);
    STATIC_REQUIRE(nth(1234567, 4) == 4593380528125082431U);
    STATIC_REQUIRE(nth(1234567, 5) == 16408922859458223821U);
}

TEST_CASE("Random seeds static, constinit and copied objects apart", "[core][random][unit]") {
    Random copy_a = const_bits;
    Random copy_b = const_bits;
    CHECK_FALSE(copy_a.seeded());
    std::array<std::uint64_t, 4> first{static_a(), static_b(), copy_a(), copy_b()};
    for (std::size_t i = 0; i < first.size(); ++i) {
        for (std::size_t k = i + 1; k < first.size(); ++k) CHECK(first[i] != first[k]);
    }
    Random after_draw = copy_a;
    CHECK(after_draw() == copy_a());
}

TEST_CASE("Random accepts every seed, also zero and the last", "[core][random][unit]") {
    CHECK(Random{Seed{0}}.seeded());
    Random wraps{Seed{0 - 0x9E3779B97F4A7C15U}};
    CHECK(wraps() != 0);
    CHECK(wraps.seeded());
}

TEST_CASE("uniform_upto stays within its bound for every seed", "[core][random][property]") {
    CHECK(rc::check("0 <= draw <= last", [](std::uint64_t seed, std::uint64_t last) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 50; ++i) RC_ASSERT(uniform_upto(bits, last) <= last);
    }));
    Random bits{Seed{1}};
    CHECK(uniform_upto(bits, 0) == 0);
    CHECK(uniform_upto(bits, std::numeric_limits<std::uint64_t>::max()) != 0);
}

TEST_CASE("uniform_upto reaches both ends and is not biased", "[core][random][property]") {
    Random bits{Seed{42}};
    std::array<int, 7> observed{};
    constexpr int draws = 70000;
    for (int i = 0; i < draws; ++i) ++observed[uniform_upto(bits, 6)];
    for (const int count : observed) {
        CHECK(count > 9600);
        CHECK(count < 10400);
    }
}

TEST_CASE("uniform_upto redraws values that would favour small results", "[core][random][unit]") {
    // count = 3 * 2^62: a quarter of all draws must be rejected, or a third of the results double.
    struct Fixed {
        std::uint64_t next = 0;
        int calls = 0;
        std::uint64_t operator()() noexcept { return ++calls, next++; }
    } bits;
    static_cast<void>(uniform_upto(bits, 3 * (std::uint64_t{1} << 62) - 1));
    CHECK(bits.calls > 1);
}

TEST_CASE("uniform_upto draws the same sequence for ever", "[core][random][golden]") {
    Random bits{Seed{7}};
    std::uint64_t hash = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) hash = hash * 31 + uniform_upto(bits, i * i + 3);
    CHECK(hash == 0x9ac1d84da967268eU);
}
