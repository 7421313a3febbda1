// SPDX-License-Identifier: MIT
/// \file tests/support/asio/run_until.hpp
/// run_until: runs an io_context of either asio until a condition holds.
#pragma once

#include <chrono>

namespace belay_test {

/// Runs handlers until `holds()`. If it never holds, the test's own time limit ends it.
template <class Context, class Done>
void run_until(Context& context, Done done) {
    while (!done()) {
        context.restart();
        context.run_one_for(std::chrono::milliseconds{1});
    }
}

}  // namespace belay_test
