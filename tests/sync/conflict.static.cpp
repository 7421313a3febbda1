// SPDX-License-Identifier: MIT
// Goal: reasons have the names of the page; a Resolution is a value. Method: constant expressions.
#include <belay/sync/conflict.hpp>

#include <string>

namespace {

using belay::ConflictReason;
static_assert(to_string(ConflictReason{belay::ElementNotFound{}}) == "ElementNotFound");
static_assert(to_string(ConflictReason{belay::ElementAlreadyExists{}}) == "ElementAlreadyExists");
static_assert(to_string(ConflictReason{belay::StaleTimestamp{}}) == "StaleTimestamp");
static_assert(to_string(ConflictReason{belay::ConcurrentModification{}}) ==
              "ConcurrentModification");
static_assert(std::copyable<belay::Resolution<std::string>>);
static_assert(!std::default_initializable<belay::Resolution<std::string>>);

}  // namespace
