// SPDX-License-Identifier: MIT
// Goal: the defaults of a replica are those of its page. Method: constant expressions.
#include <belay/sync/replica_options.hpp>

#include <type_traits>

namespace {

using Options = belay::ReplicaOptions;
static_assert(std::is_aggregate_v<Options>);
static_assert(Options::OtherStore{} == Options::OtherStore::stops);
// An Options cannot be a constant, because not every compiler accepts its text as one.
using Clock = decltype(Options::clock);
static_assert(Clock{}.note_covers == std::chrono::milliseconds{1});
static_assert(Clock{.skew_max = std::chrono::seconds{5}}.note_covers ==
              std::chrono::milliseconds{1});
constexpr belay::HybridClockOptions of_a_clock = Clock{};
static_assert(of_a_clock.skew_max == belay::HybridClockOptions{}.skew_max);

}  // namespace
