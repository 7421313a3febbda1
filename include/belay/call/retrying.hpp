// SPDX-License-Identifier: MIT
/// \file belay/call/retrying.hpp
/// Retrying: a retry as a layer of a Pipeline.
#pragma once

#include <type_traits>  // std::type_identity_t
#include <utility>      // std::move

#include <belay/call/retry.hpp>
#include <belay/call/task.hpp>
#include <belay/call/timeout.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Repeats the inner layers of a Pipeline as its policy advises; each call runs a copy of the
/// policy.
///
/// An AttemptTimeout in the policy is a Timeout around each attempt.
///
/// The observer, if there is one, is that of `retry`: an lvalue, or in a std::ref. It must outlive
/// the pipeline.
///
/// Thread safety: that of the policy's copy; the observer is called on the thread of each call.
template <class P, class Observer = const NoObserver>
class Retrying {
    // Not a constraint, because the compiler's message for a failed one would hide the sentence.
    static_assert(explain::rule_like<P>());

public:
    static constexpr bool repeats_calls = true;
    static constexpr bool retries_calls = true;
    static constexpr bool limits_time = detail::limits_attempts<P>;

    constexpr explicit Retrying(P policy)
        : policy_{std::move(policy)}, observer_{&detail::nobody} {}
    constexpr Retrying(P policy, std::type_identity_t<Observer>& observer)
        : policy_{std::move(policy)}, observer_{&observer} {
        static_assert(detail::explain_observer<detail::RetryRunHooks, Observer>());
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& around) const {
        return detail::run_retry<typename Next::Answer>(policy_, context.sleeper, next,
                                                        context.stop, *observer_, around);
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt around) const {
        using Answer = typename Next::Answer;
        const Duration wish = detail::as_policy(policy_).attempt_limit(forever);
        // A limit of 0ns means at once, which a Timeout does not accept.
        const Timeout timeout{wish.count() > 0 ? wish : Duration{1}};
        detail::RetryCore<detail::AsPolicy<P>, std::remove_reference_t<decltype(context.sleeper)>,
                          Answer, Observer>
            core{detail::as_policy(policy_), context.sleeper, *observer_, around};
        for (;;) {
            const detail::RetryStep step = core.next(context.stop.stop_requested());
            if (step == detail::RetryStep::finished) break;
            if (step == detail::RetryStep::call) {
                auto answering = wish == forever ? next(core.attempt())
                                                 : timeout.await(next, context, core.attempt());
                Answer answer = co_await std::move(answering);
                core.took(std::move(answer));
            } else {
                decltype(auto) sleep =
                    context.sleeper.async_sleep_until(core.until(), context.stop);
                decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
                co_await awaiter;
            }
        }
        co_return std::move(core.answer());
    }

private:
    P policy_;
    Observer* observer_;
};

template <class P>
Retrying(P) -> Retrying<P>;
template <class P, class Observer>
Retrying(P, Observer&) -> Retrying<P, detail::Unwrapped<Observer>>;
template <class P, detail::Reference Wrapper>
Retrying(P, Wrapper&&) -> Retrying<P, detail::Unwrapped<Wrapper>>;

}}  // namespace belay
