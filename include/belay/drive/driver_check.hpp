// SPDX-License-Identifier: MIT
/// \file belay/drive/driver_check.hpp
/// check::driver: tests a driver. It is for tests only, and drive.hpp does not include it.
#pragma once

#include <optional>  // std::optional

#include <belay/drive/detail/driver_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Tests a driver and returns the first rule that it breaks, or nothing if it keeps all.
///
/// The check runs machines on the driver.
///
///     struct Rig {
///         Mine driver;
///         void run_once() { driver.poll(); }
///     };
///     const auto broken = check::driver([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` returns a pointer to a new object with `driver` and `run_once()`. `run_once()` lets the
/// driver run everything that is due on the calling thread. If nothing is due, it waits for about a
/// millisecond, not longer.
///
/// A driver of a simulated world has one thread, and its time stands still while a machine is due.
/// Its rig has the member `static constexpr bool is_simulated = true`.
///
/// Errors: the rule.   Throws: what the driver and `make` throw.
/// Blocks: in `run_once()`, for a second in all if everything is right, longer for a driver that
/// stalls.
template <class Make>
[[nodiscard]] std::optional<DriverRule> driver(Make make) {
    return detail::DriverChecker<Make>{make}.run();
}

}}}  // namespace belay::check
