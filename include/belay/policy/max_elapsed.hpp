// SPDX-License-Identifier: MIT
/// \file belay/policy/max_elapsed.hpp
/// MaxElapsed: stops when trying has taken, or would take, too long.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stops when trying has taken, or would take, too long.
///
/// It stops if an attempt would start later than `most` after an attempt was first wanted, or after
/// the connection was lost.
///
/// It reviews the wait that all rules together have planned. If the wait would end too late, it
/// stops now, and not when the wait is over. This includes a wait that a server requested. Write it
/// after rules that lengthen a plan.
///
/// The time runs from `wanted`, from a `begin` without a `wanted` before it, or from `lost`. It
/// runs until an attempt has succeeded or the policy is reset. So it also limits how long a first
/// attempt waits while other rules reject it: an open breaker, a full bulkhead. A connection that
/// opens and fails at once does not start the time again. The time stands still after an attempt
/// was abandoned (a gate shut, credentials are missing), until the next one is wanted. Nothing was
/// tried in that time.
///
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe.
class MaxElapsed {
public:
    static constexpr std::string_view name = "MaxElapsed";

    /// Sets the longest time. 0ns allows the first attempt, and others only in the same instant.
    /// Pre: most >= 0ns.
    constexpr explicit MaxElapsed(detail::AnyUnit most) noexcept : most_{most} {
        BELAY_OPTION(most_.count() >= 0, "MaxElapsed: the time must be >= 0ns");
    }

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return spent(now) > most_ ? Advice::stop() : Advice::go();
    }
    constexpr void wanted(Turn& turn) noexcept { run_from(turn.now); }
    constexpr void begin(Turn& turn) noexcept { run_from(turn.now); }
    [[nodiscard]] constexpr Advice lost(const Failure&, Turn& turn) noexcept {
        // Also after `abandoned`, which counts the life of a connection without evidence.
        reset();
        run_from(turn.now);
        return Advice::go();
    }
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        const Duration wait =
            planned.verb == Advice::Verb::go ? Duration::zero() : elapsed(turn.now, planned.until);
        return part::saturating_add(spent(turn.now), wait) > most_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept {
        return spent(end) > most_;
    }
    constexpr void succeeded(Turn&) noexcept { reset(); }
    constexpr void abandoned(Turn& turn) noexcept {
        spent_ = spent(turn.now);
        running_ = false;
    }
    constexpr void reset() noexcept {
        spent_ = Duration::zero();
        running_ = false;
    }

    /// Returns how long trying has taken so far.
    [[nodiscard]] constexpr Duration spent(Instant now) const noexcept {
        // The first attempt begins at `since_`.
        return running_ && now > since_ ? spent_later(now) : spent_;
    }

    friend constexpr bool operator==(const MaxElapsed&, const MaxElapsed&) noexcept = default;

private:
    [[nodiscard]] [[gnu::noinline]] constexpr Duration spent_later(Instant now) const noexcept {
        return part::saturating_add(spent_, elapsed(since_, now));
    }
    constexpr void run_from(Instant now) noexcept {
        if (running_) return;
        since_ = now;
        running_ = true;
    }

    Duration most_;
    Duration spent_{0};  // before `since_`
    Instant since_ = always;
    bool running_ = false;
};

}}  // namespace belay
