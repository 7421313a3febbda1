// SPDX-License-Identifier: MIT
/// \file belay/drive/driver_rule.hpp
/// check::DriverRule: the rules that check::driver checks.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a driver that the compiler cannot check; see DriverLike.
enum class DriverRule : std::uint8_t {
    introduces_itself,
    gives_each_its_own_seed,
    tells_the_time,
    runs_what_is_due,
    reads_the_deadline_after_each_turn,
    hears_touch,
    hears_wake,
    hears_wake_behind_a_reading,
    lets_machines_rest,
    starves_nobody,
    posts_run_at_home_later_once,
    forgets_who_left,
    hands_over,
    ends_before_machines
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(DriverRule rule) noexcept {
    switch (rule) {
        case DriverRule::introduces_itself:
            return "attach() gives the machine, once, a Waker that knows the driver's time";
        case DriverRule::gives_each_its_own_seed:
            return "each machine has a seed of its own";
        case DriverRule::tells_the_time:
            return "now() does not go back, and no machine is told a later time";
        case DriverRule::runs_what_is_due:
            return "a machine whose deadline has come is advanced, each of them";
        case DriverRule::reads_the_deadline_after_each_turn:
            return "after a machine's turn its deadline is read again";
        case DriverRule::hears_touch:
            return "after Waker::touch the deadline is read again";
        case DriverRule::hears_wake:
            return "after a wake by another thread the deadline is read again";
        case DriverRule::hears_wake_behind_a_reading:
            return "a wake that comes while the deadline is read has it read once more";
        case DriverRule::lets_machines_rest:
            return "a machine that wants no turn is not advanced over and over";
        case DriverRule::starves_nobody:
            return "a machine that is always due keeps neither machines nor posts from running";
        case DriverRule::posts_run_at_home_later_once:
            return "post(f) calls f() once, on the home thread, and not before it has returned";
        case DriverRule::forgets_who_left:
            return "a machine whose Waker is gone is not called again, not even in the same turn";
        case DriverRule::hands_over:
            return "a machine that is attached to another driver is run by that one only";
        case DriverRule::ends_before_machines:
            return "after the driver's end Wakers do nothing, and tell no time";
    }
    return "unknown";
}

}}}  // namespace belay::check
