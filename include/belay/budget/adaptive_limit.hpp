// SPDX-License-Identifier: MIT
/// \file belay/budget/adaptive_limit.hpp
/// AdaptiveLimit: allows as many concurrent attempts as the peer can handle.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/aimd.hpp>
#include <belay/budget/detail/budget_permit.hpp>
#include <belay/core/detail/any_unit.hpp>
#include <belay/policy/detail/guarded.hpp>
#include <belay/policy/shareable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class A>
concept LimitAlgorithm =
    std::copyable<A> && requires(A& rule, const A& asked, Duration took, std::uint32_t in_flight) {
        { asked.limit() } noexcept -> std::same_as<std::uint32_t>;
        { rule.succeeded(took, in_flight) } noexcept;
        { rule.failed() } noexcept;
    };
}  // namespace detail

/// Limits how many attempts are under way at once, for all callers that share it.
///
/// It finds the limit by itself: an Aimd from failures alone, a Gradient also from how long
/// attempts take.
///
///     AdaptiveLimit limit{Aimd{{.initial = 20, .least = 1, .most = 200}}};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{limit, FailFast{}},
///                  MaxAttempts{3}};
///
/// The limit grows only while at least half of it is used. It shrinks once per round: after it
/// shrank, further failures of attempts that began before do not count. So one burst of failures is
/// one signal. The limit is never below 1, so there is always a probe. It cannot be copied or
/// moved, and must outlive its permits.
///
/// An algorithm is any copyable value with `limit() const -> std::uint32_t`, `succeeded(Duration
/// took, std::uint32_t in_flight)` and `failed()`, all noexcept.
///
/// Models:        ShareableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1).
template <detail::LimitAlgorithm Algorithm = Aimd>
class AdaptiveLimit {
    struct PermitData {
        Instant began = always;
        std::uint32_t round = 0;
    };

public:
    static constexpr std::string_view name = "AdaptiveLimit";
    /// The results of its calls decide; see ShareableLike.
    static constexpr bool judges_results = true;

    /// The right to make one attempt, and the duty to report its result.
    using Permit = detail::BudgetPermit<AdaptiveLimit, PermitData>;

    /// Makes a limit. A rejected caller may ask again after `ask_again`.   Pre: ask_again > 0ns.
    constexpr explicit AdaptiveLimit(
        Algorithm algorithm = Algorithm{},
        detail::AnyUnit ask_again = std::chrono::milliseconds{100}) noexcept
        : ask_again_{ask_again}, state_{State{algorithm}} {
        BELAY_OPTION(ask_again_.count() > 0, "AdaptiveLimit: the wait must be > 0ns");
    }

    /// Returns whether an attempt could begin at `now`, and takes nothing.
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        const bool full = state_.with([](const State& s) { return s.full(); });
        return full ? Advice::suspend(after(now, ask_again_)) : Advice::go();
    }
    /// Takes a permit for any attempt.   Errors: a rejected permit, which advises `suspend`.
    constexpr Permit acquire(Turn& turn) noexcept {
        return state_.with([this, &turn](State& s) {
            if (s.full()) return Permit{after(turn.now, ask_again_)};
            ++s.in_flight;
            return Permit{*this, PermitData{turn.now, s.round}};
        });
    }
    /// Returns `ask_again`, over which Shared rules spread the callers that wait.   Errors: none.
    [[nodiscard]] constexpr Duration spread() const noexcept { return ask_again_; }

    /// Changes how the limit is found, while callers use it; the next attempt follows the new rule.
    ///
    ///     limit.set_algorithm(Aimd{{.initial = limit.limit(), .least = 1, .most = 50}});
    ///
    /// Attempts under way stay counted. If the new limit is lower, none is admitted until enough
    /// have ended. A failure of an attempt that began before does not shrink the new limit.
    ///
    /// Thread safety: any thread.   Errors: none.
    constexpr void set_algorithm(const Algorithm& algorithm) noexcept {
        state_.with([&algorithm](State& s) {
            s.algorithm = algorithm;
            ++s.round;
        });
    }

    /// Returns how many attempts may be under way at once now.
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
        return state_.with([](const State& s) { return s.algorithm.limit(); });
    }
    /// Returns how many attempts are under way.
    [[nodiscard]] constexpr std::uint32_t in_flight() const noexcept {
        return state_.with([](const State& s) { return s.in_flight; });
    }

private:
    friend Permit;

    // Invariant: in_flight is the number of permits that are out. It rises only below the limit. If
    // the limit shrinks below it, no attempt is admitted until enough have ended.
    struct State {
        Algorithm algorithm;
        std::uint32_t in_flight = 0;
        std::uint32_t round = 0;  // how often the limit has shrunk

        [[nodiscard]] constexpr bool full() const noexcept {
            const std::uint32_t limit = algorithm.limit();
            return in_flight >= (limit >= 1 ? limit : 1);
        }
    };

    constexpr void on_success(PermitData data, Instant now) noexcept {
        state_.with([=](State& s) {
            s.algorithm.succeeded(elapsed(data.began, now), s.in_flight);
            --s.in_flight;
        });
    }
    constexpr void on_failure(PermitData data, Instant) noexcept {
        state_.with([=](State& s) {
            --s.in_flight;
            if (data.round != s.round) return;
            ++s.round;
            s.algorithm.failed();
        });
    }
    // It is an answer, and no slower than others.
    constexpr void on_rejected(PermitData data, Instant now) noexcept { on_success(data, now); }
    constexpr void on_neutral(PermitData) noexcept {
        state_.with([](State& s) { --s.in_flight; });
    }

    const Duration ask_again_;
    detail::Guarded<State> state_;
};

}}  // namespace belay
