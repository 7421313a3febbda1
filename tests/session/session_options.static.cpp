// SPDX-License-Identifier: MIT
// Goal: the defaults that the protocol's section 7 states.
#include <belay/session/session.hpp>

namespace {

using belay::SessionOptions;

static_assert(SessionOptions{}.id == belay::no_id, "an id must be chosen");
static_assert(SessionOptions{}.greeting_max == std::chrono::seconds{10});
static_assert(SessionOptions{}.stalled_after == std::chrono::seconds{60});
static_assert(SessionOptions{}.payload_bytes_max == 1U << 20U);

}  // namespace
