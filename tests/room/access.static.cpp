// SPDX-License-Identifier: MIT
// Goal: rights are ordered, and have names. Method: static asserts.
#include <belay/room/authorizer_like.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_aggregate_v<Grant>);
static_assert(Access::none < Access::view && Access::view < Access::comment &&
              Access::comment < Access::edit);
static_assert(to_string(Access::comment) == "comment");
static_assert(to_string(static_cast<Access>(9)) == "unknown");
