// SPDX-License-Identifier: MIT
// Goal: leases and items are plain values; stored causes keep their numbers.
#include <belay/work/lease.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_trivially_copyable_v<Lease>);
static_assert(std::is_trivially_copyable_v<WorkItem> && std::is_trivially_copyable_v<DeadWork>);
static_assert(sizeof(Lease) <= 72);
static_assert(Lease{}.token == 0, "a lease of nothing");

// The log contains them: see docs/reference/formats/work-queue.md.
static_assert(static_cast<int>(DeathCause::none) == 0);
static_assert(static_cast<int>(DeathCause::failed) == 1);
static_assert(static_cast<int>(DeathCause::expired) == 2);
static_assert(static_cast<int>(DeathCause::unreadable) == 3);
static_assert(to_string(DeathCause::none) == "none" && to_string(DeathCause::failed) == "failed");
static_assert(to_string(DeathCause::expired) == "expired");
static_assert(to_string(DeathCause::unreadable) == "unreadable");
static_assert(to_string(static_cast<DeathCause>(4)) == "unknown");
