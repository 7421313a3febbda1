// SPDX-License-Identifier: MIT
// Goal: the defaults are valid, and invalid options are detected.
#include <belay/work/work_options.hpp>

using namespace belay;

static_assert(WorkOptions{}.check().empty());
static_assert(WorkOptions{.lease = Duration{1}}.check().empty());
static_assert(!WorkOptions{.lease = Duration::zero()}.check().empty());
static_assert(!WorkOptions{.lease = Duration{-1}}.check().empty());
static_assert(WorkOptions{.deliveries_max = WorkOptions::any_number}.check().empty());
static_assert(!WorkOptions{.deliveries_max = 0}.check().empty());
static_assert(WorkOptions{.keys = (std::size_t{1} << 31) - 1}.check().empty());
static_assert(!WorkOptions{.keys = std::size_t{1} << 31}.check().empty());
static_assert(!WorkOptions{.items_max = 0}.check().empty());
static_assert(!WorkOptions{.bytes_max = 0}.check().empty());
static_assert(WorkOptions{.record_bytes_max = 128}.check().empty());
static_assert(!WorkOptions{.record_bytes_max = 127}.check().empty());
static_assert(!WorkOptions{.record_bytes_max = no_limit}.check().empty());
static_assert(WorkOptions{.record_bytes_max = 0xFFFFFFC0}.check().empty());
static_assert(!WorkOptions{.record_bytes_max = 0xFFFFFFC1}.check().empty());
// If a size has 32 bits, it cannot exceed the limit.
constexpr bool wide = sizeof(std::size_t) > 4;
static_assert(WorkOptions{.items_max = no_limit}.check().empty() != wide);
static_assert(WorkOptions{.items_max = 0xFFFFFFFF}.check().empty());
static_assert(WorkOptions{.slack_bytes = 0}.check().empty());

static_assert(PushOptions{}.key.empty() && PushOptions{}.delay == Duration::zero());
static_assert(PushOptions{}.expires_after == forever);
