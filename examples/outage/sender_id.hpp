// SPDX-License-Identifier: MIT
/// \file outage/sender_id.hpp
/// sender_id: the name of a client's stream of work, over all its processes.
#pragma once

#include <string>

#include <belay/journal/id.hpp>

namespace outage {

/// The id of this sender. It is random at the first start, and read from `sender.txt` from then on.
/// Throws: Rejection.
[[nodiscard]] belay::Id sender_id(const std::string& directory);

}  // namespace outage
