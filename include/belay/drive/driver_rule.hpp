// SPDX-License-Identifier: MIT
/// \file belay/drive/driver_rule.hpp
/// check::DriverRule: the rules that check::driver checks.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a driver that the compiler cannot check; see DriverLike.
enum class DriverRule : std::uint8_t {
    gives_one_waker,
    gives_each_its_own_seed,
    time_never_decreases,
    runs_what_is_due,
    reads_the_deadline_after_each_turn,
    notices_touch,
    notices_wake,
    notices_wake_after_a_reading,
    lets_machines_rest,
    starves_no_machine,
    posts_run_once_on_the_home_thread,
    forgets_destroyed_wakers,
    hands_over,
    ends_before_machines
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(DriverRule rule) noexcept {
    switch (rule) {
        case DriverRule::gives_one_waker:
            return "attach() gives the machine exactly one Waker, whose now() is the driver's time";
        case DriverRule::gives_each_its_own_seed:
            return "the driver gives each machine its own seed";
        case DriverRule::time_never_decreases:
            return "now() never decreases, and no machine receives a time after now()";
        case DriverRule::runs_what_is_due:
            return "the driver advances every machine whose deadline has passed";
        case DriverRule::reads_the_deadline_after_each_turn:
            return "the driver reads a machine's deadline again after each of its turns";
        case DriverRule::notices_touch:
            return "the driver reads the deadline again after Waker::touch";
        case DriverRule::notices_wake:
            return "the driver reads the deadline again after another thread called Waker::wake";
        case DriverRule::notices_wake_after_a_reading:
            return "the driver reads the deadline once more if a wake arrives during a reading";
        case DriverRule::lets_machines_rest:
            return "the driver does not keep advancing a machine whose deadline is in the future";
        case DriverRule::starves_no_machine:
            return "a machine that is always due does not stop other machines or posts from "
                   "running";
        case DriverRule::posts_run_once_on_the_home_thread:
            return "post(f) calls f() once, on the home thread, after post() has returned";
        case DriverRule::forgets_destroyed_wakers:
            return "the driver never calls a machine again after its Waker was destroyed, not even "
                   "in the same turn";
        case DriverRule::hands_over:
            return "only the new driver runs a machine that was attached to another driver";
        case DriverRule::ends_before_machines:
            return "Wakers do nothing after the end of their driver, and report no time";
    }
    return "unknown";
}

}}}  // namespace belay::check
