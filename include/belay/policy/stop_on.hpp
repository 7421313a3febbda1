// SPDX-License-Identifier: MIT
/// \file belay/policy/stop_on.hpp
/// StopOn: causes after which trying again is pointless.
#pragma once

#include <concepts>  // std::same_as

#include <belay/policy/detail/cause_set.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stops at once after a failure of one of the given causes.
///
/// `StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}` saves a `retry` from asking
/// again what was answered for good. `StopOn::all_but(Cause::timed_out, Cause::overloaded)` is for
/// calls that must not be made twice unless it is known that the first one did nothing: it stops
/// after every other failure, and after the loss of a connection. What is planned is no failure,
/// and never stops there.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe; a shared one safe (never changes).
class StopOn {
public:
    static constexpr std::string_view name = "StopOn";

    constexpr explicit StopOn(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : causes_{causes...} {}

    /// Stops after every cause but these, and Cause::planned.
    [[nodiscard]] static constexpr StopOn all_but(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
    {
        StopOn others{causes...};
        others.causes_ = detail::CauseSet{Cause::planned, causes...}.others();
        return others;
    }

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) const noexcept {
        return causes_(failure) ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) const noexcept {
        return failed(failure, turn);
    }

    /// `forever` if it stops on what a peer that is down causes (lost, refused, timed_out); see
    /// link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        for (const Cause down : {Cause::lost, Cause::refused, Cause::timed_out}) {
            if (causes_(Failure{.cause = down})) return forever;
        }
        return Duration::zero();
    }

    friend constexpr bool operator==(StopOn, StopOn) noexcept = default;

private:
    detail::CauseSet causes_;
};

}}  // namespace belay
