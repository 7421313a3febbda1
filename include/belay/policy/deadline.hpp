// SPDX-License-Identifier: MIT
/// \file belay/policy/deadline.hpp
/// Deadline: no attempt after an instant.
#pragma once

#include <string_view>  // std::string_view

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stops when an attempt would start after `last`.
///
/// It reviews the wait that all rules agreed on, so that a call that cannot be made in time fails
/// now, not when the wait is over. Write it after rules that lengthen a plan. A limit on the time
/// from the first attempt on is MaxElapsed.
///
/// Models:        RuleLike, std::regular but for default construction.
/// Thread safety: distinct objects safe; a shared one safe (never changes).
class Deadline {
public:
    static constexpr std::string_view name = "Deadline";

    /// An attempt may still start at `last`; at `never` there is no limit.
    constexpr explicit Deadline(Instant last) noexcept : last_{last} {}

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return now > last_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        const bool waits = planned.verb != Advice::Verb::go && planned.until > turn.now;
        return admit(waits ? planned.until : turn.now);
    }

    friend constexpr bool operator==(Deadline, Deadline) noexcept = default;

private:
    Instant last_;
};

}}  // namespace belay
