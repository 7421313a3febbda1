// SPDX-License-Identifier: MIT
/// \file belay/budget/token_budget.hpp
/// TokenBudget: a retry costs tokens, which successes earn.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/core/detail/any_count.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/policy/shareable_like.hpp>

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
    using Permit = detail::BudgetPermit<TokenBudget, PermitData>;

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

    void on_success(PermitData data, Instant) noexcept {
        add(data.held_milli != 0 ? data.held_milli : read(success_gain_milli_));
    }
    void on_failure(PermitData, Instant) noexcept {
        const std::uint32_t cost = read(failure_cost_milli_);
        if (cost == 0) return;
        std::uint32_t seen = read(tokens_milli_);
        while (seen != 0 && !replace(seen, seen > cost ? seen - cost : 0)) {
        }
    }
    // As in gRFC A6 and the AWS SDKs: neither a failure that costs, nor a success that earns.
    void on_rejected(PermitData, Instant) noexcept {}
    void on_neutral(PermitData data) noexcept { add(data.held_milli); }

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

}}  // namespace belay
