// SPDX-License-Identifier: MIT
/// \file belay/call/hedge.hpp
/// Hedge: a second call where the first is slow; a layer of a Pipeline.
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

/// Makes further calls of what is inside while the earlier ones have not answered; the first
/// success counts, and the others are destroyed in the middle of their calls.
///
///     Hedge{50ms, 2}                    // a second call after 50 ms, a third after 100 ms
///     Hedge{50ms, 2, Shared{budget}}    // while a budget of retries pays for them
///
/// After a failure the next call begins at once; where the peer asked for a wait (`retry_after`),
/// after that wait, and none before it. A failure that no further call can make good (permanent,
/// forbidden, unauthorized) ends the whole. So does one where nothing else is under way and no
/// further call may begin before the deadline. If all fail, the last failure counts. A call that an
/// inner layer refused begins no other before its time; alone, it ends the whole.
///
/// Each call has a `number` in its Attempt: 1, 2, 3, over all attempts of a Retrying around it, so
/// that `fn` can ask another server each time. An observer of the pipeline hears of further calls
/// by `on_hedge(const Attempt&)`, and of those that the budget refused by `on_refusal`.
///
/// With a budget each further call takes a permit as a retry does, after the cause of the failure
/// before it, or after timed_out. It says how its call went; a call that is destroyed under way
/// shares the fate of the whole, or counts as failed if that is destroyed, too. First calls are the
/// calls by which the budget is earned; inside a Retrying its policy has to count them.
///
/// `fn` must take being called while an earlier call of it is under way, and its effect must bear
/// repetition. For coroutines only: blocking calls would need threads.
///
/// Thread safety: a plain value.
/// Source: J. Dean, L. Barroso, "The Tail at Scale" (2013); gRFC A6 for what follows a failure.
template <class Budget = detail::NoBudget>
class Hedge {
public:
    static constexpr bool repeats_calls = true;
    static constexpr bool hedges_calls = true;
    /// How many further calls there may be.
    static constexpr std::size_t further_max = 7;

    /// Pre: delay >= 0ns, 1 <= further <= further_max.
    constexpr Hedge(Duration delay, std::size_t further) noexcept
        requires std::same_as<Budget, detail::NoBudget>
        : Hedge{detail::HedgePlan<Budget>{delay, further, {}}} {}
    /// The same; the budget must outlive it.
    constexpr Hedge(Duration delay, std::size_t further, Shared<Budget> budget) noexcept
        : Hedge{detail::HedgePlan<Budget>{delay, further, budget}} {
        static_assert(ReservableLike<Budget>,
                      "Hedge: what pays for calls must be a budget of retries; write any other "
                      "Shared as a layer of its own");
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next&, Context&, const Attempt&) const {
        static_assert(!sizeof(Next), "Hedge: only for coroutines, blocking calls need threads");
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        detail::HedgeRun<typename Next::Answer, Budget, Context, further_max + 1, Next::retried>
            run{plan_, context, attempt};
        std::optional<Task<bool>> timer;
        Instant timer_ends = always;
        for (;;) {
            detail::AnyDone any;
            if (run.hear(any)) break;
            // What a timer that could not wait throws leaves here.
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
                           "Hedge: there must be 1 to 7 further calls");
    }

    detail::HedgePlan<Budget> plan_;
};

Hedge(Duration, std::size_t) -> Hedge<>;
template <class Budget>
Hedge(Duration, std::size_t, Shared<Budget>) -> Hedge<Budget>;

}}  // namespace belay
