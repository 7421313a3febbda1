// SPDX-License-Identifier: MIT
/// \file belay/policy/stop_on.hpp
/// StopOn: stops after causes for which another attempt is pointless.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::is_arithmetic_v, std::is_enum_v

#include <belay/policy/detail/cause_set.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// Arguments of which at least one is a status or a code, and no Cause.
template <class... Given>
concept CodesForCauses = ((std::is_arithmetic_v<Given> || std::is_enum_v<Given>)&&...) &&
                         !(std::same_as<Given, Cause> && ...);
template <class... Given>
consteval void explain_causes() {
    static_assert((std::same_as<Given, Cause> && ...),
                  "StopOn: pass causes: StopOn{Cause::permanent, Cause::forbidden}. A status of "
                  "HTTP has the cause http_failure(404).cause");
}

}  // namespace detail

/// Stops at once after a failure of one of the given causes.
///
/// `StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}` keeps a `retry` from repeating
/// a call whose answer is final. For a call that must not be done twice, such as a payment, use
/// `StopOn::all_but(Cause::refused)`, and give a failure this cause only if no connection could be
/// made. A call that timed out or was lost may have been done. Add Cause::overloaded only if the
/// server promises that it does nothing before this answer. A gateway may answer 503 after it has
/// passed the request on.
///
/// `all_but` stops after every other failure, and after the loss of a connection. It never stops
/// after a planned end, which is not a failure.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class StopOn {
public:
    static constexpr std::string_view name = "StopOn";

    /// Pre: no cause is Cause::none.
    constexpr explicit StopOn(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : causes_{causes...} {
        BELAY_PRECONDITION(!causes_.has(Cause::none), "StopOn: Cause::none is no failure");
    }

    /// Does not compile, because a rule sees causes, and no statuses or codes.
    template <class... Codes>
        requires detail::CodesForCauses<Codes...>
    constexpr explicit StopOn(Codes...) noexcept : causes_{Cause::planned} {
        detail::explain_causes<Codes...>();
    }

    /// Makes a rule that stops after every cause except these and Cause::planned.
    [[nodiscard]] static constexpr StopOn all_but(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
    {
        return StopOn{detail::CauseSet{Cause::planned, causes...}.others()};
    }
    /// Does not compile, because a rule sees causes, and no statuses or codes.
    template <class... Codes>
        requires detail::CodesForCauses<Codes...>
    [[nodiscard]] static constexpr StopOn all_but(Codes...) noexcept {
        detail::explain_causes<Codes...>();
        return StopOn{Cause::planned};
    }

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) const noexcept {
        return causes_(failure) ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) const noexcept {
        return failed(failure, turn);
    }

    [[nodiscard]] constexpr bool stops_after(Instant) const noexcept {
        return causes_(Failure{.cause = Cause::timed_out});
    }

    /// Returns `forever` if it stops on a cause of a peer that is down (lost, refused, timed_out).
    ///
    /// Otherwise it returns 0ns; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        for (const Cause down : {Cause::lost, Cause::refused, Cause::timed_out}) {
            if (causes_(Failure{.cause = down})) return forever;
        }
        return Duration::zero();
    }

    friend constexpr bool operator==(StopOn, StopOn) noexcept = default;

private:
    constexpr explicit StopOn(detail::CauseSet causes) noexcept : causes_{causes} {}

    detail::CauseSet causes_;
};

}}  // namespace belay
