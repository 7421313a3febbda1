// SPDX-License-Identifier: MIT
/// \file tests/support/eventually.hpp
/// Waits for something that another thread, or another process, does.
#pragma once

#include <poll.h>

#include <chrono>

namespace belay_test {

/// The limit of one wait. Only a failure takes so long, also on a busy machine.
inline constexpr std::chrono::minutes wait_max{5};

/// Waits until `holds()`, which it calls each `pause`.   Returns: false after `wait_max`.
template <class F>
[[nodiscard]] bool eventually(F&& holds,
                              std::chrono::milliseconds pause = std::chrono::milliseconds{1}) {
    const auto end = std::chrono::steady_clock::now() + wait_max;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, static_cast<int>(pause.count()));
    }
    return true;
}

}  // namespace belay_test
