// SPDX-License-Identifier: MIT
/// \file belay/policy/retry_only.hpp
/// RetryOnly: the causes after which trying again makes sense; after all others it does not.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view

#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// Stops at once after a failure, or the loss of a connection, of any other than the given causes.
///
/// `RetryOnly{Cause::timed_out, Cause::overloaded}` for calls that must not be made twice unless it
/// is known that the first one did nothing. What is planned is no failure, and never stops. The
/// opposite list is StopOn.
///
/// Models:        RuleLike, std::regular but for default construction.
/// Thread safety: distinct objects safe; a shared one safe (never changes).
class RetryOnly {
public:
    static constexpr std::string_view name = "RetryOnly";

    constexpr explicit RetryOnly(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : causes_{bit(Cause::planned) | (bit(causes) | ...)} {}

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) const noexcept {
        return (causes_ & bit(failure.cause)) != 0 ? Advice::go() : Advice::stop();
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) const noexcept {
        return failed(failure, turn);
    }

    friend constexpr bool operator==(RetryOnly, RetryOnly) noexcept = default;

private:
    [[nodiscard]] static constexpr std::uint32_t bit(Cause cause) noexcept {
        return std::uint32_t{1} << (static_cast<std::uint32_t>(cause) & 31U);
    }

    std::uint32_t causes_;
};

}  // namespace belay::inline BELAY_ABI
