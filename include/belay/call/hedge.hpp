// SPDX-License-Identifier: MIT
/// \file belay/call/hedge.hpp
/// Hedge: makes a second call if the first is slow; a layer of a Pipeline.
#pragma once

#include <concepts>  // std::same_as
#include <cstddef>   // std::size_t
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/detail/hedge_run.hpp>
#include <belay/call/task.hpp>
#include <belay/core/assert.hpp>
#include <belay/policy/shareable_like.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Makes further calls of the inner layers of a Pipeline while the earlier ones have not answered.
///
/// The first success counts, and the other calls are destroyed while they run.
///
///     Hedge{50ms, 2}                    // a second call after 50 ms, a third after 100 ms
///     Hedge{50ms, 2, Shared{budget}}    // while a budget of retries pays for them
///
/// After a failure, the next call begins at once. If the peer requested a wait (`retry_after`), it
/// begins after that wait, and no call begins before it. The whole ends
/// - with a failure that no further call can correct (permanent, forbidden, unauthorized);
/// - with a failure after which nothing else is under way and no further call may begin before the
///   deadline.
///
/// If all calls fail, the last failure counts. A call that an inner layer refused does not start
/// another call early; if it is the only call, it ends the whole.
///
/// Each call has a `number` in its Attempt: 1, 2, 3, over all attempts of a Retrying around it. So
/// `fn` can ask another server each time. An observer of the pipeline is notified of further calls
/// by `on_hedge(const Attempt&)`, and of calls that the budget refused by `on_refusal`.
///
/// With a budget, each further call takes a permit, as a retry does. The cause is that of the
/// failure before it, or timed_out. The permit reports the result of its call. If a call is
/// destroyed under way, the result of the whole counts for it. If the whole is destroyed, too, the
/// call counts as failed. First calls earn the budget; inside a Retrying, its policy has to count
/// them.
///
/// `fn` must support a call while an earlier call of it is under way, and its effect must be
/// repeatable. Hedge is for coroutines only, because blocking calls would need threads.
///
/// Thread safety: a plain value.
/// Source: J. Dean, L. Barroso, "The Tail at Scale" (2013); gRFC A6 for what follows a failure.
template <class Budget = detail::NoBudget>
class Hedge {
public:
    static constexpr bool repeats_calls = true;
    static constexpr bool hedges_calls = true;
    /// The most further calls that there may be.
    static constexpr std::size_t further_max = 7;

    /// Makes a layer without a budget.   Pre: delay >= 0ns, 1 <= further <= further_max.
    constexpr Hedge(Duration delay, std::size_t further) noexcept
        requires std::same_as<Budget, detail::NoBudget>
        : Hedge{detail::HedgePlan<Budget>{delay, further, {}}} {}
    /// Makes a layer with a budget, which must outlive it.   Pre: as above.
    constexpr Hedge(Duration delay, std::size_t further, Shared<Budget> budget) noexcept
        : Hedge{detail::HedgePlan<Budget>{delay, further, budget}} {
        static_assert(part::ReservableLike<Budget>,
                      "Hedge: the third argument must be a budget of retries; write another Shared "
                      "as a layer of its own");
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next&, Context&, const Attempt&) const {
        static_assert(!sizeof(Next),
                      "Hedge: blocking calls cannot be hedged without threads; use a coroutine");
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        detail::HedgeRun<typename Next::Answer, Budget, Context, further_max + 1, Next::retried>
            run{plan_, context, attempt};
        std::optional<Task<bool>> timer;
        Instant timer_ends = always;
        for (;;) {
            detail::AnyDone any;
            if (run.collect(any)) break;
            // An exception of a timer that could not wait leaves the function here.
            if (timer && timer->done()) {
                static_cast<void>(timer->take());
                timer.reset();
            }
            if (run.due()) {
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
        co_return std::move(run.answer());
    }

private:
    constexpr explicit Hedge(const detail::HedgePlan<Budget>& plan) noexcept : plan_{plan} {
        BELAY_PRECONDITION(plan.delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        BELAY_PRECONDITION(plan.further >= 1 && plan.further <= further_max,
                           "Hedge: the number of further calls must be in [1, 7]");
    }

    detail::HedgePlan<Budget> plan_;
};

Hedge(Duration, std::size_t) -> Hedge<>;
template <class Budget>
Hedge(Duration, std::size_t, Shared<Budget>) -> Hedge<Budget>;

}}  // namespace belay
