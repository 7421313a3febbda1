// SPDX-License-Identifier: MIT
// Goal: the generator is fixed for ever, seeds itself only at run time, and draws without bias.
#include <belay/core/random.hpp>

#include <array>
#include <limits>
#include <set>

#include "support/catch.hpp"

using namespace belay;

namespace {

constexpr std::uint64_t nth(std::uint64_t seed, int n) {
    Random bits{Seed{seed}};
    std::uint64_t value = 0;
    for (int i = 0; i < n; ++i) value = bits();
    return value;
}

constexpr std::uint64_t step = 0x9E3779B97F4A7C15U;

// The inverse of z ^ (z >> shift), for a shift of at least 22.
constexpr std::uint64_t unshifted(std::uint64_t z, int shift) {
    return z ^ (z >> shift) ^ (z >> 2 * shift);
}

// The inverse of an odd number modulo 2^64, by Newton's iteration.
constexpr std::uint64_t inverse(std::uint64_t odd) {
    std::uint64_t x = odd;
    for (int i = 0; i < 5; ++i) x *= 2 - odd * x;
    return x;
}

// The seed whose generator starts with this state: the splitmix64 output function, backwards.
constexpr std::uint64_t seed_of(std::uint64_t state) {
    const std::uint64_t b = unshifted(state, 31) * inverse(0x94D049BB133111EBU);
    return unshifted(unshifted(b, 27) * inverse(0xBF58476D1CE4E5B9U), 30) - step;
}

constinit Random static_a;
constinit Random static_b;
const Random const_bits;

}  // namespace

TEST_CASE("Random repeats the published values of splitmix64", "[core][random][golden]") {
    // The reference implementation started at the state 1234567: S. Vigna, splitmix64.c.
    constexpr std::uint64_t seed = seed_of(1234567);
    STATIC_REQUIRE(nth(seed, 1) == 6457827717110365317U);
    STATIC_REQUIRE(nth(seed, 2) == 3203168211198807973U);
    STATIC_REQUIRE(nth(seed, 3) == 9817491932198370423U);
    STATIC_REQUIRE(nth(seed, 4) == 4593380528125082431U);
    STATIC_REQUIRE(nth(seed, 5) == 16408922859458223821U);
    // Its first value is the state of the generator with the seed 1234567.
    STATIC_REQUIRE(seed_of(6457827717110365317U) == 1234567U);
}

TEST_CASE("Random draws unrelated sequences for neighbouring seeds, also for zero and one",
          "[core][random][unit]") {
    // Seeds that differ by one, by the step of the generator, and by 2^32. Zero is taken once.
    constexpr std::array<std::uint64_t, 3> distances{1, step, std::uint64_t{1} << 32};
    std::set<std::uint64_t> drawn;
    std::size_t expected = 0;
    for (const std::uint64_t distance : distances) {
        for (std::uint64_t i = distance == 1 ? 0 : 1; i < 100; ++i) {
            Random bits{Seed{i * distance}};
            for (int draw = 0; draw < 100; ++draw, ++expected) drawn.insert(bits());
        }
    }
    CHECK(drawn.size() == expected);
    // Each bit of the first draw is set for about half of the seeds 0 to 999: within 5 deviations.
    std::array<int, 64> set_for{};
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        const std::uint64_t first = nth(seed, 1);
        for (std::size_t bit = 0; bit < 64; ++bit)
            set_for[bit] += static_cast<int>(first >> bit & 1);
    }
    for (const int count : set_for) {
        CHECK(count > 420);
        CHECK(count < 580);
    }
}

TEST_CASE("Random has different seeds in static, constinit and copied objects",
          "[core][random][unit]") {
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

TEST_CASE("Random accepts every seed, also those that reach the reserved state",
          "[core][random][unit]") {
    CHECK(Random{Seed{0}}.seeded());
    // The state of this seed is 0, which is reserved for a generator that is not seeded yet.
    STATIC_REQUIRE(seed_of(0) == 0 - step);
    Random reserved{Seed{seed_of(0)}};
    CHECK(reserved.seeded());
    CHECK(reserved() == nth(seed_of(0), 1));
    // The second state of this seed would be 0.
    Random wraps{Seed{seed_of(0 - step)}};
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
    CHECK(hash == 0xace6f33eca69a0eeU);
}
