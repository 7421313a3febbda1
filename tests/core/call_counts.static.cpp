// SPDX-License-Identifier: MIT
// Goal: a threshold is reached at its exact count, not before its minimum of calls, and without
// overflow.
#include <belay/core/call_counts.hpp>

using namespace belay;

namespace {

static_assert(!part::RateThreshold{}.reached_by({9, 9}) &&
              part::RateThreshold{}.reached_by({10, 5}));
static_assert(!part::RateThreshold{}.reached_by({10, 4}) &&
              !part::RateThreshold{}.reached_by({11, 5}));
static_assert(!part::RateThreshold{}.reached_by({0, 0}));
static_assert(part::RateThreshold{.percent = 100, .min_calls = 1}.reached_by({1, 1}));
static_assert(!part::RateThreshold{.percent = 100, .min_calls = 1}.reached_by({1000, 999}));
static_assert(part::RateThreshold{.percent = 1, .min_calls = 1}.reached_by({100, 1}));
static_assert(!part::RateThreshold{.percent = 1, .min_calls = 1}.reached_by({101, 1}));
// Rounding must not change the result: a third is 33.3 %.
static_assert(part::RateThreshold{.percent = 33, .min_calls = 3}.reached_by({3, 1}));
static_assert(!part::RateThreshold{.percent = 34, .min_calls = 3}.reached_by({3, 1}));
// The largest counts of a window of 1000 full buckets.
constexpr std::uint64_t many = 4'294'967'295U * std::uint64_t{1001};
static_assert(part::RateThreshold{.percent = 100, .min_calls = 1}.reached_by({many, many}));
static_assert(!part::RateThreshold{.percent = 100, .min_calls = 1}.reached_by({many, many - 1}));

struct Window {
    void add(bool) noexcept;
    CallCounts counts() const noexcept;
    std::uint64_t capacity() const noexcept;
    void reset() noexcept;
};
struct WithoutReset {
    void add(bool) noexcept;
    CallCounts counts() const noexcept;
    std::uint64_t capacity() const noexcept;
};
struct AddThrows {
    void add(bool);
    CallCounts counts() const noexcept;
    std::uint64_t capacity() const noexcept;
    void reset() noexcept;
};
static_assert(detail::CallWindow<Window>);
static_assert(!detail::CallWindow<WithoutReset> && !detail::CallWindow<AddThrows>);
static_assert(!detail::CallWindow<int>);

}  // namespace
