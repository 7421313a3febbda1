// SPDX-License-Identifier: MIT
// Goal: the defaults are valid, and invalid options are detected.
#include <belay/work/work_options.hpp>

using namespace belay;
using detail::possible;

static_assert(possible(WorkOptions{}));
static_assert(possible(WorkOptions{.lease = Duration{1}}));
static_assert(!possible(WorkOptions{.lease = Duration::zero()}));
static_assert(!possible(WorkOptions{.lease = Duration{-1}}));
static_assert(possible(WorkOptions{.deliveries_max = WorkOptions::any_number}));
static_assert(!possible(WorkOptions{.deliveries_max = 0}));
static_assert(possible(WorkOptions{.keys = (std::size_t{1} << 31) - 1}));
static_assert(!possible(WorkOptions{.keys = std::size_t{1} << 31}));
static_assert(!possible(WorkOptions{.items_max = 0}));
static_assert(!possible(WorkOptions{.bytes_max = 0}));
static_assert(possible(WorkOptions{.record_bytes_max = 128}));
static_assert(!possible(WorkOptions{.record_bytes_max = 127}));
// Where a size has 32 bits, it cannot say more than is possible.
constexpr bool wide = sizeof(std::size_t) > 4;
static_assert(possible(WorkOptions{.record_bytes_max = no_limit}) != wide);
static_assert(possible(WorkOptions{.items_max = no_limit}) != wide);
static_assert(possible(WorkOptions{.items_max = 0xFFFFFFFF}));
static_assert(possible(WorkOptions{.slack_bytes = 0}));

static_assert(PushOptions{}.key.empty() && PushOptions{}.delay == Duration::zero());
static_assert(PushOptions{}.expires_after == forever);
