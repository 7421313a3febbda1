// SPDX-License-Identifier: MIT
/// \file belay/budget/budgets.hpp
/// TokenBudget and RatioBudget: limits on retries that all callers share.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/detail/permit.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a TokenBudget: what it gives and takes, in thousandths of a token.
///
/// Thread safety: a plain value.
struct TokenBudgetOptions {
    /// The most tokens there can be, and the number at the start.
    std::uint32_t capacity_milli = 500'000;
    /// No retries are allowed while there are no more tokens than this.
    std::uint32_t threshold_milli = 0;
    /// The cost of a retry, taken when it is planned. It is returned when the retry succeeds, or is
    /// abandoned before it was made.
    std::uint32_t retry_cost_milli = 5'000;
    /// The cost of a retry after Cause::timed_out, taken and returned in the same way.
    std::uint32_t timeout_cost_milli = 10'000;
    /// The cost of each failed attempt; if fewer tokens are left, it takes all of them.
    std::uint32_t failure_cost_milli = 0;
    /// The gain of each success for which no retry cost is returned.
    std::uint32_t success_gain_milli = 1'000;

    /// Returns the terms of the AWS SDKs' standard retry mode.
    ///
    /// There are 500 tokens. A retry takes 5, and after a timeout 10, which are returned if it
    /// succeeds. A call that needs no retry earns 1.
    ///
    /// Source: AWS SDKs and Tools Reference Guide, "Retry behavior", standard mode.
    [[nodiscard]] static constexpr TokenBudgetOptions aws() noexcept { return {}; }

    /// Returns the terms of gRPC's retry throttling.
    ///
    /// Each failure takes 1 token, and each success earns `ratio`. Retries are allowed while more
    /// than half of the tokens are left.
    ///
    /// Pre: 1 <= tokens <= 1000; 1 <= ratio_milli (100 is a ratio of 0.1).
    /// Source: gRFC A6, "gRPC Retry Design", throttling retry attempts and hedged RPCs.
    [[nodiscard]] static constexpr TokenBudgetOptions grpc(
        detail::AnyCount<std::uint32_t> tokens,
        detail::AnyCount<std::uint32_t> ratio_milli) noexcept {
        BELAY_OPTION(tokens >= 1 && tokens <= 1000,
                     "TokenBudgetOptions::grpc: tokens must be in [1, 1000]");
        BELAY_OPTION(ratio_milli >= 1, "TokenBudgetOptions::grpc: the ratio must be > 0");
        return {.capacity_milli = tokens * 1000,
                .threshold_milli = tokens * 500,
                .retry_cost_milli = 0,
                .timeout_cost_milli = 0,
                .failure_cost_milli = 1000,
                .success_gain_milli = ratio_milli};
    }

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (capacity_milli < 1) return "TokenBudgetOptions: the capacity must be > 0";
        if (threshold_milli >= capacity_milli) {
            return "TokenBudgetOptions: the threshold must be below the capacity";
        }
        if (retry_cost_milli > capacity_milli || timeout_cost_milli > capacity_milli) {
            return "TokenBudgetOptions: the cost of a retry must be <= the capacity";
        }
        return {};
    }

    friend constexpr bool operator==(const TokenBudgetOptions&,
                                     const TokenBudgetOptions&) noexcept = default;
};

/// A shared budget of tokens, which stops retries before they multiply the load of a failing
/// server.
///
/// While most calls succeed, each may be retried.
///
///     TokenBudget budget{TokenBudgetOptions::aws()};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{budget}, MaxAttempts{3}};
///
/// The tokens of a retry are taken when it is planned, before the wait, and held during the wait.
/// They come back if the retry is not made, or succeeds. First attempts are free. The budget cannot
/// be copied or moved, and must outlive its permits. It uses no time.
///
/// There is no value form, because MaxAttempts is the budget of one run.
///
/// Models:        part::ReservableLike.
/// Thread safety: any thread.   Blocks: never; lock-free.
/// Complexity:    O(1). A success that finds the budget full writes nothing that is shared.
class TokenBudget {
    struct PermitData {
        std::uint32_t held_milli = 0;
    };

public:
    static constexpr std::string_view name = "TokenBudget";

    /// The right to make one attempt; its destructor gives back what it holds.
    using Permit = detail::Permit<TokenBudget, PermitData>;

    /// Pre: options.check() is empty: each cost and the threshold fit the capacity, which is >= 1.
    constexpr explicit TokenBudget(TokenBudgetOptions options = TokenBudgetOptions::aws()) noexcept
        : tokens_milli_{options.capacity_milli},
          capacity_milli_{options.capacity_milli},
          threshold_milli_{options.threshold_milli},
          retry_cost_milli_{options.retry_cost_milli},
          timeout_cost_milli_{options.timeout_cost_milli},
          failure_cost_milli_{options.failure_cost_milli},
          success_gain_milli_{options.success_gain_milli} {
        expect(options);
    }
    /// Does not compile, because the numbers of a budget have names.
    template <std::integral... Numbers>
        requires(sizeof...(Numbers) >= 1)
    constexpr explicit TokenBudget(Numbers...) noexcept : TokenBudget{TokenBudgetOptions{}} {
        static_assert(
            sizeof...(Numbers) == 0,
            "TokenBudget: write the options: TokenBudget{TokenBudgetOptions::grpc(10, 100)}");
    }
    TokenBudget(const TokenBudget&) = delete;
    TokenBudget& operator=(const TokenBudget&) = delete;

    /// Returns `go` always, because first attempts are free.
    [[nodiscard]] Advice admit(Instant) const noexcept { return Advice::go(); }
    /// Returns a permit for a first attempt, which takes no tokens and is never rejected. `reserve`
    /// takes tokens.
    Permit acquire(Turn&) noexcept { return Permit{*this, PermitData{}}; }
    /// Takes the tokens of a retry after a failure of this cause, and returns their permit.
    /// Errors: a rejected permit, which holds no tokens.
    Permit reserve(Cause cause, Turn&) noexcept {
        const std::uint32_t cost =
            read(cause == Cause::timed_out ? timeout_cost_milli_ : retry_cost_milli_);
        const std::uint32_t threshold = read(threshold_milli_);
        std::uint32_t seen = read(tokens_milli_);
        do {
            if (seen <= threshold || seen < cost) return Permit{};
        } while (!replace(seen, seen - cost));
        return Permit{*this, PermitData{cost}};
    }

    /// Returns what is left now, in thousandths of a token.
    [[nodiscard]] std::uint32_t tokens_milli() const noexcept { return read(tokens_milli_); }
    /// Returns the options; while another thread sets them, some of them may be the former ones.
    [[nodiscard]] TokenBudgetOptions options() const noexcept {
        return {.capacity_milli = read(capacity_milli_),
                .threshold_milli = read(threshold_milli_),
                .retry_cost_milli = read(retry_cost_milli_),
                .timeout_cost_milli = read(timeout_cost_milli_),
                .failure_cost_milli = read(failure_cost_milli_),
                .success_gain_milli = read(success_gain_milli_)};
    }
    /// Changes the options while callers use the budget; the next call of each caller follows them.
    ///
    /// The tokens stay as they are, except that those above a new capacity are lost. A permit gives
    /// back what was taken for it. A full budget whose capacity rises earns the rest. Tokens that
    /// are given back at the same moment may stay above a lower capacity until they are spent.
    ///
    /// Pre: options.check() is empty.   Thread safety: any thread.   Errors: none.
    void set_options(const TokenBudgetOptions& options) noexcept {
        expect(options);
        threshold_milli_.store(options.threshold_milli, std::memory_order_relaxed);
        retry_cost_milli_.store(options.retry_cost_milli, std::memory_order_relaxed);
        timeout_cost_milli_.store(options.timeout_cost_milli, std::memory_order_relaxed);
        failure_cost_milli_.store(options.failure_cost_milli, std::memory_order_relaxed);
        success_gain_milli_.store(options.success_gain_milli, std::memory_order_relaxed);
        capacity_milli_.store(options.capacity_milli, std::memory_order_relaxed);
        std::uint32_t seen = read(tokens_milli_);
        while (seen > options.capacity_milli && !replace(seen, options.capacity_milli)) {
        }
    }

private:
    friend Permit;

    [[nodiscard]] static std::uint32_t read(const std::atomic<std::uint32_t>& option) noexcept {
        return option.load(std::memory_order_relaxed);
    }
    static constexpr void expect(const TokenBudgetOptions& options) noexcept {
        detail::expect_options(options.check(),
                               {{"capacity_milli", options.capacity_milli},
                                {"threshold_milli", options.threshold_milli},
                                {"retry_cost_milli", options.retry_cost_milli},
                                {"timeout_cost_milli", options.timeout_cost_milli}});
    }

    // As in gRFC A6 and the AWS SDKs: a rejection is neither a failure that costs, nor a success
    // that earns.
    void on_end(PermitData data, const detail::PermitResult& result) noexcept {
        if (result.end == detail::PermitEnd::success) {
            add(data.held_milli != 0 ? data.held_milli : read(success_gain_milli_));
        } else if (result.end == detail::PermitEnd::failure) {
            take(read(failure_cost_milli_));
        } else if (result.end == detail::PermitEnd::neutral) {
            add(data.held_milli);
        }
    }
    void take(std::uint32_t cost) noexcept {
        if (cost == 0) return;
        std::uint32_t seen = read(tokens_milli_);
        while (seen != 0 && !replace(seen, seen > cost ? seen - cost : 0)) {
        }
    }
    void add(std::uint32_t gain) noexcept {
        const std::uint32_t capacity = read(capacity_milli_);
        std::uint32_t seen = read(tokens_milli_);
        while (gain != 0 && seen < capacity) {
            const std::uint32_t space = capacity - seen;
            if (replace(seen, seen + (gain < space ? gain : space))) return;
        }
    }

    // Reloads `seen` if another thread was faster.
    [[nodiscard]] bool replace(std::uint32_t& seen, std::uint32_t next) noexcept {
        return tokens_milli_.compare_exchange_weak(seen, next, std::memory_order_relaxed);
    }

    // Invariant: never above the capacity, unless it is lowered at the same moment. Only the permit
    // that took tokens out brings them back, once. Each change is one compare-and-swap from a value
    // for which it was checked, so no token pays for two retries. Nothing is published through it,
    // so relaxed order is enough.
    std::atomic<std::uint32_t> tokens_milli_;
    std::atomic<std::uint32_t> capacity_milli_;
    std::atomic<std::uint32_t> threshold_milli_;
    std::atomic<std::uint32_t> retry_cost_milli_;
    std::atomic<std::uint32_t> timeout_cost_milli_;
    std::atomic<std::uint32_t> failure_cost_milli_;
    std::atomic<std::uint32_t> success_gain_milli_;
};

/// The options of a RatioBudget.   Thread safety: a plain value.
struct RatioBudgetOptions {
    /// A floor without a limit: it allows everything, so the share does not matter.
    static constexpr std::uint32_t unlimited = 0xFFFFFFFFU;

    /// The time for which calls and retries count.
    Duration window = std::chrono::seconds{10};
    /// The number of retries for a thousand calls.
    std::uint32_t retries_per_thousand = 200;
    /// The number of retries per window in any case. Without it, clients with little traffic could
    /// not retry.
    std::uint32_t at_least = 10;
    /// The number of retries at once for a thousand calls at once: planned, waiting or under way.
    std::uint32_t at_once_per_thousand = 0;
    /// The number of retries at once in any case. Without a limit, calls under way do not count.
    std::uint32_t at_once_at_least = unlimited;

    /// Returns the terms of Envoy's retry budget.
    ///
    /// Retries are at most a share of the calls that are under way, and a call's retry is one of
    /// these calls. Some retries are allowed in any case. There is no window.
    ///
    /// Pre: per_thousand >= 0, in_any_case >= 0.
    /// Source: envoy/config/cluster/v3/circuit_breaker.proto, RetryBudget: budget_percent,
    ///         min_retry_concurrency, and their defaults. Unlike there, waiting retries count.
    [[nodiscard]] static constexpr RatioBudgetOptions envoy(
        detail::AnyCount<std::uint32_t> per_thousand = 200,
        detail::AnyCount<std::uint32_t> in_any_case = 3) noexcept {
        BELAY_OPTION(!per_thousand.is_negative() && !in_any_case.is_negative(),
                     "RatioBudgetOptions::envoy: the share and the floor must be >= 0");
        return {.at_least = unlimited,
                .at_once_per_thousand = per_thousand,
                .at_once_at_least = in_any_case};
    }

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (window.count() <= 0) return "RatioBudgetOptions: the window must be > 0ns";
        if (retries_per_thousand < 1 && at_least < 1) {
            return "RatioBudgetOptions: the share or the floor must be > 0";
        }
        if (at_once_per_thousand < 1 && at_once_at_least < 1) {
            return "RatioBudgetOptions: the share at once or the floor at once must be > 0";
        }
        if (at_once_per_thousand != 0 && at_once_at_least == unlimited) {
            return "RatioBudgetOptions: a share at once needs a floor at once, because otherwise "
                   "there is no limit";
        }
        return {};
    }
};

/// A shared budget that limits retries to a share of the calls within a window.
///
///     RatioBudget budget{{.window = 10s, .retries_per_thousand = 200, .at_least = 10}};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{budget}, MaxAttempts{3}};
///
/// A call is a first attempt that began. A retry counts from the time when it is planned, during
/// its wait, and for one window after it ended. So retries that wait long, and slow ones, are not
/// forgotten too early. A retry that is abandoned before it was made does not count at all.
///
/// `at_once_per_thousand` and `at_once_at_least` limit how many retries there are at the same time,
/// in addition to the window or instead of it. Examples are
/// `RatioBudget{RatioBudgetOptions::envoy()}`, or `{.at_once_at_least = 5}` for no more than five.
///
/// The window rolls in tenths, like a TimeWindow. The budget cannot be copied or moved, and must
/// outlive its permits. There is no value form, because MaxAttempts is the budget of one run.
///
/// Models:        part::ReservableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1).
/// Source:        the retry budgets of Finagle (deposits per call, a floor) and of Envoy (retries
///                that are under way count); here both, each with the larger of share and floor.
class RatioBudget {
    struct PermitData {
        bool retry = false;
        bool counts = false;  // among the first attempts that are under way
    };

public:
    static constexpr std::string_view name = "RatioBudget";

    /// The right to make one attempt; its destructor gives back what it holds.
    using Permit = detail::Permit<RatioBudget, PermitData>;

    constexpr RatioBudget() noexcept : RatioBudget{RatioBudgetOptions{}} {}
    /// Pre: options.check() is empty: window > 0ns; something is allowed.
    constexpr explicit RatioBudget(RatioBudgetOptions options) noexcept
        : state_{State{options, TimeWindow<>{options.window}}} {
        expect(options);
    }
    /// Does not compile, because the numbers of a budget have names.
    template <std::integral... Numbers>
        requires(sizeof...(Numbers) >= 1)
    constexpr explicit RatioBudget(Numbers...) noexcept : RatioBudget{RatioBudgetOptions{}} {
        static_assert(sizeof...(Numbers) == 0,
                      "RatioBudget: write the options: RatioBudget{{.retries_per_thousand = 200}}");
    }

    /// Returns `go` always, because first attempts are free.
    [[nodiscard]] constexpr Advice admit(Instant) const noexcept { return Advice::go(); }
    /// Returns a permit for a first attempt, which takes no retry, is never rejected and counts as
    /// a call. `reserve` takes a retry.
    constexpr Permit acquire(Turn& turn) noexcept {
        const bool counts = state_.with([&turn](State& s) {
            s.recent.add(false, turn.now);
            if (s.options.at_once_at_least == RatioBudgetOptions::unlimited) return false;
            ++s.first;
            return true;
        });
        return Permit{*this, PermitData{.counts = counts}};
    }
    /// Takes a permit for a retry.   Errors: a rejected permit.
    constexpr Permit reserve(Cause, Turn& turn) noexcept {
        const bool granted = state_.with([&turn](State& s) {
            s.recent.roll(turn.now);
            if (s.used() >= s.allowed() || s.held >= s.allowed_at_once()) return false;
            ++s.held;
            return true;
        });
        // Not a conditional expression, because in constant expressions GCC 12 destroys its permit
        // twice.
        if (!granted) return Permit{};
        return Permit{*this, PermitData{.retry = true}};
    }

    /// Returns how many retries could be planned at `now`.
    [[nodiscard]] constexpr std::uint64_t left(Instant now) const noexcept {
        return state_.with([now](State s) {
            s.recent.roll(now);
            const std::uint64_t recent = minus(s.allowed(), s.used());
            const std::uint64_t at_once = minus(s.allowed_at_once(), s.held);
            return recent < at_once ? recent : at_once;
        });
    }
    /// Returns whether it allows retries again after a while, also if no permit is given back.
    ///
    /// It does so while each floor is larger than the number of permits for retries that are out.
    /// The permits of connections whose peers never send may stay out for ever. In the other cases
    /// AskAgain makes attempts that do not count as retries.
    [[nodiscard]] constexpr bool gains_by_time() const noexcept {
        return state_.with([](const State& s) {
            return s.options.at_least > s.held && s.options.at_once_at_least > s.held;
        });
    }
    /// Returns the options in force.
    [[nodiscard]] constexpr RatioBudgetOptions options() const noexcept {
        return state_.with([](const State& s) { return s.options; });
    }
    /// Changes the options while callers use the budget; the next retry is judged by them.
    ///
    /// Calls and retries that were counted stay counted. With another `window`, the counts of the
    /// window start afresh. First attempts that are under way count only if they began under a
    /// limit at once. Permits stay valid.
    ///
    /// Pre: options.check() is empty.   Thread safety: any thread.   Errors: none.
    constexpr void set_options(const RatioBudgetOptions& options) noexcept {
        expect(options);
        state_.with([&options](State& s) {
            if (options.window != s.options.window) s.recent = TimeWindow<>{options.window};
            s.options = options;
        });
    }

private:
    friend Permit;

    static constexpr void expect(const RatioBudgetOptions& options) noexcept {
        detail::expect_options(options.check(),
                               {{"window", options.window},
                                {"retries_per_thousand", options.retries_per_thousand},
                                {"at_least", options.at_least},
                                {"at_once_per_thousand", options.at_once_per_thousand},
                                {"at_once_at_least", options.at_once_at_least}});
    }

    // Invariant: `held` is the number of permits for retries that are out. It rises only when fewer
    // than `allowed` are used, and fewer than `allowed_at_once` are out. `first` is the number of
    // permits for first attempts that are out, if that matters.
    struct State {
        RatioBudgetOptions options;
        TimeWindow<> recent;  // calls that began, and retries that ended as the bad ones
        std::uint32_t held = 0;
        std::uint32_t first = 0;

        [[nodiscard]] constexpr std::uint64_t used() const noexcept {
            return held + recent.counts().bad;
        }
        [[nodiscard]] constexpr std::uint64_t allowed() const noexcept {
            // At most 11 * 2^32 calls * 2^32: the division comes first where the product would not
            // fit.
            const CallCounts counts = recent.counts();
            return larger(counts.calls - counts.bad, options.retries_per_thousand,
                          options.at_least);
        }
        // The call for whose retry this is asked is under way, too; its last attempt has ended.
        [[nodiscard]] constexpr std::uint64_t allowed_at_once() const noexcept {
            return larger(std::uint64_t{first} + held + 1, options.at_once_per_thousand,
                          options.at_once_at_least);
        }
    };

    [[nodiscard]] static constexpr std::uint64_t larger(
        // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the options
        std::uint64_t calls, std::uint32_t per_thousand, std::uint32_t floor) noexcept {
        const std::uint64_t share =
            calls / 1000 * per_thousand + calls % 1000 * per_thousand / 1000;
        return share > floor ? share : floor;
    }
    [[nodiscard]] static constexpr std::uint64_t minus(std::uint64_t all,
                                                       std::uint64_t used) noexcept {
        return used < all ? all - used : 0;
    }

    constexpr void on_end(PermitData data, const detail::PermitResult& result) noexcept {
        if (!data.retry) {
            if (data.counts) on_counted_end();
        } else if (result.end == detail::PermitEnd::neutral) {
            state_.with([](State& s) { --s.held; });
        } else {
            on_retry_end(result.now);
        }
    }
    [[gnu::noinline]] constexpr void on_counted_end() noexcept {
        state_.with([](State& s) { --s.first; });
    }
    [[gnu::noinline]] constexpr void on_retry_end(Instant now) noexcept {
        state_.with([now](State& s) {
            --s.held;
            s.recent.add(true, now);
        });
    }

    detail::Guarded<State> state_;
};

}}  // namespace belay
