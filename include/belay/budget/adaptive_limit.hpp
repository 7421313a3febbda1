// SPDX-License-Identifier: MIT
/// \file belay/budget/adaptive_limit.hpp
/// AdaptiveLimit: a limit on concurrent calls that adapts to what the peer can take, by an Aimd or
/// a Gradient.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <cstdint>      // std::int64_t, std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/policy/detail/permit.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an Aimd.   Thread safety: a plain value.
struct AimdOptions {
    /// The limit at the start, and the bounds within which it may change.
    std::uint32_t initial = 20;
    /// The smallest limit. >= 1.
    std::uint32_t least = 1;
    /// The largest limit. >= least.
    std::uint32_t most = 1000;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (least < 1 || least > initial || initial > most) {
            return "AimdOptions: 1 <= least <= initial <= most must hold";
        }
        return {};
    }
};

/// A concurrency limit with additive increase and multiplicative decrease.
///
/// It grows by one after as many successes as the limit, and shrinks by a share after a failure. It
/// is an algorithm of AdaptiveLimit.
///
/// Thread safety: a plain value.
/// Source:        D. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for
///                Congestion Avoidance in Computer Networks" (1989); TCP's congestion avoidance.
class Aimd {
public:
    constexpr Aimd() noexcept : Aimd{AimdOptions{}} {}
    /// Pre: options.check() is empty: 1 <= least <= initial <= most.
    constexpr explicit Aimd(AimdOptions options) noexcept
        : limit_milli_{std::uint64_t{options.initial} * 1000}, options_{options} {
        detail::expect_options(
            options.check(),
            {{"least", options.least}, {"initial", options.initial}, {"most", options.most}});
    }

    /// Returns the number of attempts that may be under way.
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
        return static_cast<std::uint32_t>(limit_milli_ / 1000);
    }
    /// Records an attempt that succeeded while `in_flight` were under way, including itself.
    constexpr void succeeded(Duration, std::uint32_t in_flight) noexcept {
        if (std::uint64_t{in_flight} * 2 < limit()) return;
        const std::uint64_t step = 1'000'000 / limit_milli_;
        const std::uint64_t most = std::uint64_t{options_.most} * 1000;
        limit_milli_ += step >= 1 ? step : 1;
        if (limit_milli_ > most) limit_milli_ = most;
    }
    /// Shrinks the limit after a failure.
    constexpr void failed() noexcept {
        const std::uint64_t least = std::uint64_t{options_.least} * 1000;
        limit_milli_ = limit_milli_ * left_per_thousand / 1000;
        if (limit_milli_ < least) limit_milli_ = least;
    }

private:
    // The share of the limit that is left, in thousandths, when attempts fail: that of AIMDLimit in
    // Netflix concurrency-limits. TCP halves, but single failures of calls are no sign of load.
    static constexpr std::uint64_t left_per_thousand = 900;

    std::uint64_t limit_milli_;
    AimdOptions options_;
};

/// The options of a Gradient.   Thread safety: a plain value.
struct GradientOptions {
    /// The limit at the start, and the bounds within which it may change.
    std::uint32_t initial = 20;
    /// The smallest limit. >= 1.
    std::uint32_t least = 1;
    /// The largest limit. >= least.
    std::uint32_t most = 1000;
    /// The number of attempts that may queue at the peer. The limit tries to grow by this; with 0
    /// it could not.
    std::uint32_t queue = 4;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (least < 1 || least > initial || initial > most) {
            return "GradientOptions: 1 <= least <= initial <= most must hold";
        }
        if (queue < 1) return "GradientOptions: the queue must be >= 1";
        return {};
    }
};

/// A concurrency limit that compares how long each attempt took with the long-run mean.
///
/// Queues at the peer increase the time before anything fails. The new limit is `limit * gradient +
/// queue`, where the gradient is `tolerance * mean / took` within [0.5, 1].
///
/// It is an algorithm of AdaptiveLimit, for calls. For connections, the time until they are stable
/// gives no information.
///
/// Thread safety: a plain value.
/// Source:        Netflix concurrency-limits, Gradient2Limit: its formula and its constants, in
///                integer arithmetic; docs/reference/budget.md has the differences. Shrinking after
///                failures is an addition of belay, and the bounds 1 and 1000 are its choice
///                (there: 20 and 200). With `least` 20, callers in the model of
///                docs/explanation/stability.md send 3.1 times the usual load in an outage.
class Gradient {
public:
    constexpr Gradient() noexcept : Gradient{GradientOptions{}} {}
    /// Pre: options.check() is empty: 1 <= least <= initial <= most; queue >= 1.
    constexpr explicit Gradient(GradientOptions options) noexcept
        : limit_milli_{std::uint64_t{options.initial} * 1000}, options_{options} {
        detail::expect_options(options.check(), {{"least", options.least},
                                                 {"initial", options.initial},
                                                 {"most", options.most},
                                                 {"queue", options.queue}});
    }

    /// Returns the number of attempts that may be under way.
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
        return static_cast<std::uint32_t>(limit_milli_ / 1000);
    }
    /// Returns the long-run mean of how long attempts take; 0ns before the first.
    [[nodiscard]] constexpr Duration usual() const noexcept { return Duration{mean_ / fine}; }

    /// Records an attempt that succeeded while `in_flight` were under way, including itself.
    constexpr void succeeded(Duration took, std::uint32_t in_flight) noexcept {
        const std::int64_t ticks = took.count() < 1           ? 1
                                   : took.count() > took_most ? took_most
                                                              : took.count();
        const std::int64_t sample = ticks * fine;
        learn(sample);
        if (std::uint64_t{in_flight} * 2 < limit()) return;
        const auto mean = static_cast<std::uint64_t>(mean_);
        std::uint64_t gradient = mean * tolerance_per_thousand / static_cast<std::uint64_t>(sample);
        gradient = gradient < 500 ? 500 : gradient > 1000 ? 1000 : gradient;
        const std::uint64_t aim =
            limit_milli_ * gradient / 1000 + std::uint64_t{options_.queue} * 1000;
        // There is only one division, because two roundings would lose a small step.
        set((limit_milli_ * (1000 - smoothing_per_thousand) + aim * smoothing_per_thousand) / 1000);
    }
    /// Shrinks the limit after a failure.
    constexpr void failed() noexcept { set(limit_milli_ * left_per_thousand / 1000); }

private:
    // The time, in thousandths of the usual time, up to which an attempt counts as usual. It is the
    // default of Gradient2Limit, and so is the smoothing.
    static constexpr std::uint64_t tolerance_per_thousand = 1500;
    // The share of the way to a new limit that is made at once, in thousandths.
    static constexpr std::uint64_t smoothing_per_thousand = 200;
    // The share of the limit that is left, in thousandths, when attempts fail: one step of the
    // smoothing towards 0.
    static constexpr std::uint64_t left_per_thousand = 800;
    // The first samples have equal weight. After that the mean is the exponential one of a window
    // of 600 samples, and forgets with a half-life of 208.
    static constexpr std::int64_t warm_up = 10;
    static constexpr std::int64_t window = 600;
    // The mean is stored in fractions of a tick, so that small differences are not lost.
    static constexpr std::int64_t fine = 1024;
    // 18 minutes; with this limit nothing here overflows.
    static constexpr std::int64_t took_most = std::int64_t{1} << 40;

    constexpr void learn(std::int64_t sample) noexcept {
        if (seen_ < warm_up) {
            mean_ += (sample - mean_) / ++seen_;
        } else {
            mean_ += (sample - mean_) * 2 / (window + 1);
        }
        // After a long time of slow attempts, the mean must not take as long to fall.
        if (mean_ > 2 * sample) mean_ = mean_ / 100 * 95;
    }
    constexpr void set(std::uint64_t limit_milli) noexcept {
        const std::uint64_t least = std::uint64_t{options_.least} * 1000;
        const std::uint64_t most = std::uint64_t{options_.most} * 1000;
        limit_milli_ = limit_milli < least ? least : limit_milli > most ? most : limit_milli;
    }

    std::uint64_t limit_milli_;
    std::int64_t mean_ = 0;  // in 1/1024 ns
    std::int64_t seen_ = 0;
    GradientOptions options_;
};

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
    using Permit = detail::Permit<AdaptiveLimit, PermitData>;

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
        return full ? Advice::suspend(detail::after_time(now, ask_again_)) : Advice::go();
    }
    /// Takes a permit for any attempt.   Errors: a rejected permit, which advises `suspend`.
    constexpr Permit acquire(Turn& turn) noexcept {
        return state_.with([this, &turn](State& s) {
            if (s.full()) return Permit{detail::after_time(turn.now, ask_again_)};
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

    // A rejection is an answer, and no slower than others.
    constexpr void on_end(PermitData data, const detail::PermitResult& result) noexcept {
        state_.with([&](State& s) {
            if (result.end == detail::PermitEnd::failure) {
                if (data.round == s.round) {
                    ++s.round;
                    s.algorithm.failed();
                }
            } else if (result.end != detail::PermitEnd::neutral) {
                s.algorithm.succeeded(elapsed(data.began, result.now), s.in_flight);
            }
            --s.in_flight;
        });
    }

    const Duration ask_again_;
    detail::Guarded<State> state_;
};

}}  // namespace belay
