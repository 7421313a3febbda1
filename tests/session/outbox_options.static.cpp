// SPDX-License-Identifier: MIT
// Goal: OutboxOptions names the rule that it breaks, also at compile time. Method: static_assert.
#include <belay/session/outbox.hpp>

namespace {

using belay::OutboxOptions;

static_assert(OutboxOptions{.promise = OutboxOptions::at_most_once}.check().empty());
static_assert(OutboxOptions{.promise = OutboxOptions::at_least_once}.check().empty());
static_assert(!OutboxOptions{}.check().empty());
static_assert(
    !OutboxOptions{.promise = OutboxOptions::at_least_once, .in_flight_max = 0}.check().empty());
static_assert(!OutboxOptions{.promise = OutboxOptions::at_least_once, .message_bytes_max = 0}
                   .check()
                   .empty());

}  // namespace
