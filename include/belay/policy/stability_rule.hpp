// SPDX-License-Identifier: MIT
/// \file belay/policy/stability_rule.hpp
/// check::StabilityRule: the rules that check::stability and check::reconnection check.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a policy that many callers run against one server.
enum class StabilityRule : std::uint8_t {
    calls_stay_bounded_in_the_outage,
    calls_stay_bounded_at_the_return,
    calls_stay_bounded_in_trouble,
    goodput_returns,
    brown_out_keeps_goodput,
    dials_stay_spread,
    clients_return
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(StabilityRule rule) noexcept {
    switch (rule) {
        case StabilityRule::calls_stay_bounded_in_the_outage:
            return "during an outage, the callers send at most the permitted multiple of the "
                   "offered load";
        case StabilityRule::calls_stay_bounded_at_the_return:
            return "after an outage, the callers send at most the permitted multiple of the "
                   "offered load";
        case StabilityRule::calls_stay_bounded_in_trouble:
            return "during errors, slow answers and a brown-out, the callers send at most the "
                   "permitted multiple of the offered load";
        case StabilityRule::goodput_returns:
            return "goodput is back when the longest wait that the policy planned has passed "
                   "since the end of the outage";
        case StabilityRule::brown_out_keeps_goodput:
            return "goodput in a brown-out is at least the required share of that of one attempt "
                   "per call";
        case StabilityRule::dials_stay_spread:
            return "after the longest wait, the clients dial no more often in a second than if "
                   "each waited half of the longest wait";
        case StabilityRule::clients_return:
            return "99 % of the clients are connected when the longest wait has passed since the "
                   "return of the server";
    }
    return "unknown";
}

}}}  // namespace belay::check
