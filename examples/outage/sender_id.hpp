// SPDX-License-Identifier: MIT
/// \file outage/sender_id.hpp
/// sender_id: the name of a client's stream of work, over all its processes.
#pragma once

#include <string>

#include <belay/journal/id.hpp>

namespace outage {

/// Who we are: random at the first start, and from then on what `sender.txt` says.
/// Throws: Refusal.
[[nodiscard]] belay::Id sender_id(const std::string& directory);

}  // namespace outage
