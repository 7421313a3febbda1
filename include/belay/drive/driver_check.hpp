// SPDX-License-Identifier: MIT
/// \file belay/drive/driver_check.hpp
/// check::driver: is a driver right? For tests of drivers; drive.hpp does not include it.
#pragma once

#include <optional>  // std::optional

#include <belay/drive/detail/driver_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Plays machines on a driver, and answers the first rule that it breaks; nothing if it keeps all.
///
///     struct Rig {
///         Mine driver;
///         void run_once() { driver.poll(); }
///     };
///     const auto broken = check::driver([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` gives a pointer to something new that has `driver` and `run_once()`, which lets the
/// driver do what there is to do on the calling thread, and otherwise waits a millisecond or so,
/// not longer. One of a simulated world, which has one thread, and in which time stands still while
/// a machine is due, says `static constexpr bool is_simulated = true`.
///
/// Errors: the rule.   Throws: what the driver and `make` throw.
/// Blocks: by `run_once()`: for a second in all if everything is right, longer for one that stalls.
template <class Make>
[[nodiscard]] std::optional<DriverRule> driver(Make make) {
    return detail::DriverChecker<Make>{make}.run();
}

}}}  // namespace belay::check
