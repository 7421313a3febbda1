// SPDX-License-Identifier: MIT
/// \file outage/rejection.hpp Rejection and the exit codes: the demo reports that it cannot run.
#pragma once

#include <stdexcept>

namespace outage {

/// The exit codes of the processes of the demo.
enum Exit : int {
    exit_ok = 0,            ///< everything was delivered, and the verdict is good
    exit_wrong = 1,         ///< something was lost, repeated, or cannot be delivered
    exit_rejected = 2,      ///< it could not do what was asked: options, files, ports
    exit_interrupted = 130  ///< stopped before the end; running again resumes
};

/// The user must change something: what is wrong, where, and what to do. Ends with exit_rejected.
struct Rejection : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace outage
