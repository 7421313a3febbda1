// SPDX-License-Identifier: MIT
/// \file belay/call/hedge.hpp
/// Hedge: makes a second call if the first is slow; a layer of a Pipeline.
#pragma once

#include <concepts>     // std::integral, std::same_as
#include <cstddef>      // std::size_t
#include <exception>    // std::exception_ptr
#include <optional>     // std::optional
#include <type_traits>  // std::remove_reference_t
#include <utility>      // std::move

#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/detail/hedge_delay.hpp>
#include <belay/call/detail/hedge_run.hpp>
#include <belay/call/task.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class Budget>
consteval bool explain_hedge_budget() {
    static_assert(
        part::ReservableLike<Budget>,
        "Hedge: the third argument must be a budget of retries; write another Shared as a "
        "layer of its own");
    return true;
}

// This replaces a delay if the arguments are wrong.
template <class... Given>
struct HedgeMisuse {};
}  // namespace detail

/// Makes further calls of the inner layers of a Pipeline while the earlier ones have not answered.
///
/// The first success counts, and the other calls are destroyed while they wait.
///
///     Hedge{50ms, 2}                    // a second call after 50 ms, a third after 100 ms
///     Hedge{50ms, 2, Shared{budget}}    // while a budget of retries pays for them
///     Hedge{of_further, 2}              // each after `of_further(1)`, `of_further(2)`
///     Hedge{p95, 1}                     // after the 95th percentile of recent latencies
///     Hedge{50ms, 2}.until(is_fresh)    // the first success for which is_fresh returns true
///
/// A callable for the delay is `Duration operator()(std::size_t further) const noexcept`. It gets
/// the number of the further call, from 1 on, and returns the time from the call before it. For a
/// percentile, see Hedge::Percentile.
///
/// After a failure, the next call begins at once. If the peer requested a wait (`retry_after`), it
/// begins after that wait, and no call begins before it. If the wait is longer than
/// `retry_after_max`, which is 30 s if you set no other, no further call begins. The whole ends
/// - with a failure that no further call can correct (permanent, forbidden, unauthorized);
/// - with a failure after which nothing else is under way and no further call may begin before the
///   deadline.
///
/// A further call begins only if at least half of its limit is left; see Timeout::counts_after.
///
/// With `until`, a success that is not chosen does not end the whole. The calls that are under way
/// continue, and further ones begin after their delays. If none is chosen, the last success counts.
///
/// If all calls fail, the last failure counts. A call that an inner layer rejected does not start
/// another call early; if it is the only call, it ends the whole.
///
/// Each call has a `number` in its Attempt: 1, 2, 3, over all attempts of a Retrying around it. So
/// `fn` can ask another server each time. An observer of the pipeline is notified of further calls
/// by `on_hedge(const Attempt&)`, and of calls that the budget rejected by `on_rejection`.
///
/// With a budget, each further call takes a permit, as a retry does. The cause is that of the
/// failure before it, or timed_out. The permit reports the result of its call. If a call is
/// destroyed under way, the result of the whole counts for it. If the whole is destroyed, too, the
/// call counts as failed. A call that an inner layer held until then, such as Queued, was not made
/// and costs nothing. First calls earn the budget; inside a Retrying, its policy has to count them.
///
/// A call may resume another call of the same Hedge from inside its own code, for example by an
/// event that both share. If the calls of a Hedge end it while others are under way, it waits for
/// the next turn of the sleeper, and then destroys these. So a call that resumed the one that won
/// continues until its next wait.
///
/// `fn` must support a call while an earlier call of it is under way, and its effect must be
/// repeatable. Hedge is for coroutines only, because blocking calls would need threads.
///
/// Thread safety: a plain value.
/// Source: J. Dean, L. Barroso, "The Tail at Scale" (2013); gRFC A6 for what follows a failure;
///         Polly's DelayGenerator, Finagle's BackupRequestFilter, failsafe-go's CancelIf.
template <class Budget = detail::NoBudget, class Delay = detail::HedgeFixedDelay,
          class Choice = detail::HedgeAnySuccess>
class Hedge {
    using Plan = detail::HedgePlan<Budget, Delay, Choice>;

public:
    /// A percentile of the latencies of the last 128 calls, as the delay of any number of Hedges.
    /// Include <belay/call/hedge_percentile.hpp> for it:
    ///
    ///     Hedge<>::Percentile p95{95, 50ms};   // 50 ms until 20 latencies are known
    ///     Pipeline pipeline{Hedge{p95, 1}};
    ///
    /// With the 95th percentile, about 5 % of the calls are repeated. All Hedges without a budget
    /// together repeat at most 10 % of the calls, and ten: twice the share that the percentile
    /// leaves. So a peer that is slow for all calls does not get twice the load. A Hedge with a
    /// budget repeats as many as the budget pays for.
    ///
    /// Each Hedge records the time of each call that succeeded. A call that failed, or was
    /// destroyed because another one succeeded, counts with the time until then, if that is above
    /// the percentile. The delay is at least 1 ms. It cannot be copied or moved, and must outlive
    /// the Hedges and their runs.
    ///
    /// Thread safety: any thread.   Blocks: for some hundred instructions of another caller.
    /// Complexity:    O(128) for each call that ends, O(1) for each delay.   Allocates: never.
    using Percentile = detail::HedgePercentile;

    static constexpr bool repeats_calls = true;
    static constexpr bool hedges_calls = true;
    /// The most further calls that there may be.
    static constexpr std::size_t further_max = 7;

    /// Makes a layer without a budget.   Pre: delay >= 0ns, 1 <= further <= further_max.
    constexpr Hedge(Duration delay, detail::AnyCount<std::size_t> further) noexcept
        requires std::same_as<Hedge, Hedge<>>
        : Hedge{Plan{{delay}, further, {}}} {}
    /// Makes a layer with a budget, which must outlive it.   Pre: as above.
    constexpr Hedge(Duration delay, detail::AnyCount<std::size_t> further,
                    Shared<Budget> budget) noexcept
        requires std::same_as<Hedge, Hedge<Budget>>
        : Hedge{Plan{{delay}, further, budget}} {
        static_assert(detail::explain_hedge_budget<Budget>());
    }
    /// Makes a layer with a delay for each further call.   Pre: each delay >= 0ns; as above.
    template <detail::HedgeDelayFunction F>
        requires std::same_as<Budget, detail::NoBudget>
    constexpr Hedge(F delay, detail::AnyCount<std::size_t> further) noexcept
        : Hedge{Plan{{std::move(delay)}, further, {}}} {}
    template <detail::HedgeDelayFunction F>
    constexpr Hedge(F delay, detail::AnyCount<std::size_t> further, Shared<Budget> budget) noexcept
        : Hedge{Plan{{std::move(delay)}, further, budget}} {
        static_assert(detail::explain_hedge_budget<Budget>());
    }
    /// Makes a layer whose delay is a percentile, which must outlive it.   Pre: as above.
    constexpr Hedge(Percentile& delay, detail::AnyCount<std::size_t> further) noexcept
        requires std::same_as<Budget, detail::NoBudget>
        : Hedge{Plan{{&delay}, further, {}}} {}
    constexpr Hedge(Percentile& delay, detail::AnyCount<std::size_t> further,
                    Shared<Budget> budget) noexcept
        : Hedge{Plan{{&delay}, further, budget}} {
        static_assert(detail::explain_hedge_budget<Budget>());
    }

    /// Returns the same layer, which only a success ends for which `predicate` returns true.
    ///
    /// The predicate is `bool operator()(const R&) const`, where R is the type that the call
    /// returns.
    template <class Predicate>
    [[nodiscard]] constexpr auto until(Predicate predicate) const {
        static_assert(std::same_as<Choice, detail::HedgeAnySuccess>,
                      "Hedge::until: write one predicate");
        using Chosen = detail::HedgeChosen<Predicate>;
        return Hedge<Budget, Delay, Chosen>{detail::HedgePlan<Budget, Delay, Chosen>{
            plan_.delay, plan_.further, plan_.budget, Chosen{std::move(predicate)},
            plan_.retry_after_max}};
    }
    /// Returns the same layer with another limit for the wait that a peer requests.
    ///
    /// After a longer one, the Hedge ends with the failure, whose `retry_after` is the wait.
    /// Pre: most >= 0ns.
    [[nodiscard]] constexpr Hedge retry_after_max(Duration most) const {
        BELAY_OPTION(most.count() >= 0, "Hedge: retry_after_max must be >= 0ns");
        Hedge other = *this;
        other.plan_.retry_after_max = most;
        return other;
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next&, Context&, const Attempt&) const {
        static_assert(!sizeof(Next),
                      "Hedge: blocking calls cannot be hedged without threads; use a coroutine");
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        detail::HedgeRun<typename Next::Answer, Plan, Context, further_max + 1, Next::retried> run{
            plan_, context, attempt};
        using Sleeper = std::remove_reference_t<decltype(context.sleeper)>;
        std::optional<detail::NextTurn<Sleeper>> next_turn;
#if defined(__cpp_exceptions)
        std::exception_ptr thrown;
        try {
#endif
            std::optional<Task<bool>> timer;
            Instant timer_ends = always;
            for (;;) {
                detail::AnyDone any;
                if (run.collect(any)) break;
                // An exception of a timer that could not wait leaves the loop here.
                if (timer && timer->done()) {
                    static_cast<void>(timer->take());
                    timer.reset();
                }
                if (run.due()) {
                    // Here, because the end of the run cannot report that there is no memory.
                    if (run.running() && !next_turn) next_turn.emplace(context.sleeper);
                    run.begin(next);
                    continue;
                }
                if (!run.running() && !run.waits()) break;
                if (!run.waits()) {
                    timer.reset();
                } else {
                    if (!timer || timer_ends != run.next_at()) {
                        timer_ends = run.next_at();
                        timer.emplace(detail::sleeping(context.sleeper, timer_ends, context.stop));
                        timer->start();
                    }
                    any.add(*timer);
                }
                co_await any;
            }
#if defined(__cpp_exceptions)
        } catch (...) {
            thrown = std::current_exception();
        }
#endif
        // The code of a call that is under way may be on the stack: it may have resumed the call
        // that ended the loop. It has returned when the sleeper has its next turn. One call alone
        // resumes no other.
        if (next_turn && run.under_way()) {
            detail::AnyDone any;
            next_turn->request(any);
            co_await any;
        }
#if defined(__cpp_exceptions)
        if (thrown) std::rethrow_exception(std::move(thrown));
#endif
        co_return std::move(run.answer());
    }

private:
    template <class, class, class>
    friend class Hedge;

    constexpr explicit Hedge(const Plan& plan) noexcept : plan_{plan} {
        if constexpr (std::same_as<Delay, detail::HedgeFixedDelay>) {
            BELAY_OPTION(plan.delay.delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        }
        BELAY_OPTION(plan.further >= 1 && plan.further <= further_max,
                     "Hedge: the number of further calls must be in [1, 7]");
    }
    Plan plan_;
};

Hedge(Duration, detail::AnyCount<std::size_t>) -> Hedge<>;
template <class Budget>
Hedge(Duration, detail::AnyCount<std::size_t>, Shared<Budget>) -> Hedge<Budget>;
template <detail::HedgeDelayFunction F>
Hedge(F, detail::AnyCount<std::size_t>) -> Hedge<detail::NoBudget, detail::HedgeDelayOfEach<F>>;
template <detail::HedgeDelayFunction F, class Budget>
Hedge(F, detail::AnyCount<std::size_t>, Shared<Budget>)
    -> Hedge<Budget, detail::HedgeDelayOfEach<F>>;
Hedge(detail::HedgePercentile&, detail::AnyCount<std::size_t>)
    -> Hedge<detail::NoBudget, detail::HedgeRecentDelay>;
template <class Budget>
Hedge(detail::HedgePercentile&, detail::AnyCount<std::size_t>, Shared<Budget>)
    -> Hedge<Budget, detail::HedgeRecentDelay>;

// The forms that Hedge does not have, so that a mistake results in a sentence: the number before
// the delay, a delay alone, and a budget without Shared.
template <class... Types, class Choice>
class Hedge<detail::NoBudget, detail::HedgeMisuse<Types...>, Choice> {
    static_assert(
        !sizeof(Choice),
        "Hedge: pass the delay, then the number of further calls, and a budget as Shared: "
        "Hedge{50ms, 1}, or Hedge{50ms, 1, Shared{budget}}");

public:
    template <class... Given>
    constexpr Hedge(Given&&...) noexcept {}
};
template <std::integral Number, class... Rest>
Hedge(Number, Rest&&...) -> Hedge<detail::NoBudget, detail::HedgeMisuse<Number, Rest...>>;
Hedge(Duration) -> Hedge<detail::NoBudget, detail::HedgeMisuse<Duration>>;
template <class Delay, ShareableLike Object>
Hedge(Delay, detail::AnyCount<std::size_t>, Object&)
    -> Hedge<detail::NoBudget, detail::HedgeMisuse<Delay, Object>>;

}}  // namespace belay
