// SPDX-License-Identifier: MIT
/// \file outage/demo.hpp
/// The demo: prepares the directory, runs the FaultInjector, and prints the verdict.
#pragma once

#include <string>

#include "options.hpp"

namespace outage {

/// Where the demo's files are by default.
[[nodiscard]] std::string default_directory();

/// Runs the demo.   Returns: the exit code.   Throws: Rejection.
[[nodiscard]] int run_demo(const DemoOptions& options);

}  // namespace outage
