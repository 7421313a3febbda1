// SPDX-License-Identifier: MIT
// Goal: GrowthLike accepts its archetype and lambdas, and rejects types that lack one
// requirement each.
#include <belay/backoff/growths.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

static_assert(GrowthLike<belay_test::MinimalGrowth>);
static_assert(explain::growth_like<belay_test::MinimalGrowth>());

constexpr auto lambda = [](std::uint64_t) noexcept { return Duration{1}; };
constexpr auto that_throws = [](std::uint64_t) { return Duration{1}; };
constexpr auto in_seconds = [](std::uint64_t) noexcept { return std::chrono::seconds{1}; };
constexpr auto without_argument = []() noexcept { return Duration{1}; };
constexpr auto with_capture = [base = Duration{1}](std::uint64_t) noexcept { return base; };
static_assert(GrowthLike<decltype(+lambda)>);
static_assert(GrowthLike<std::remove_const_t<decltype(lambda)>>);
static_assert(!GrowthLike<std::remove_const_t<decltype(that_throws)>>);
static_assert(!GrowthLike<std::remove_const_t<decltype(in_seconds)>>);
static_assert(!GrowthLike<std::remove_const_t<decltype(without_argument)>>);
static_assert(!GrowthLike<std::remove_const_t<decltype(with_capture)>>);

static_assert(!GrowthLike<Duration (*)(std::uint64_t)>);

struct GrowthThatChanges {
    Duration operator()(std::uint64_t) noexcept;
};
struct GrowthWithThrowingCheck {
    Duration operator()(std::uint64_t) const noexcept;
    BackoffErrc check() const;
};
static_assert(!GrowthLike<int> && !GrowthLike<GrowthThatChanges>);
static_assert(!GrowthLike<GrowthWithThrowingCheck>);

// A member counts in any form.
class GrowthWithPrivateCheck {
    BackoffErrc check() const noexcept;

public:
    Duration operator()(std::uint64_t) const noexcept;
};
struct GrowthWithTwoChecks {
    Duration operator()(std::uint64_t) const noexcept;
    BackoffErrc check(int) const noexcept;
    BackoffErrc check(Duration) const noexcept;
};
static_assert(!GrowthLike<GrowthWithPrivateCheck> && !GrowthLike<GrowthWithTwoChecks>);

}  // namespace
