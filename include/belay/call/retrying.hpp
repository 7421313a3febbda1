// SPDX-License-Identifier: MIT
/// \file belay/call/retrying.hpp
/// Retrying: a retry as a layer of a Pipeline.
#pragma once

#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <type_traits>  // std::type_identity_t
#include <utility>      // std::move

#include <belay/call/retry.hpp>
#include <belay/call/task.hpp>
#include <belay/call/timeout.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// A temporary observer, which its Retrying stores; each call runs a copy of it.
template <class O>
struct StoredObserver {};
template <class O>
inline constexpr bool is_stored_observer = false;
template <class O>
inline constexpr bool is_stored_observer<StoredObserver<O>> = true;

/// Gives a call its observer: the object of the caller, or a copy of the stored one.
template <class O>
struct ObserverOfCalls {
    O* observer;
    [[nodiscard]] constexpr O& get() const noexcept { return *observer; }
};
template <class O>
struct ObserverOfCalls<StoredObserver<O>> {
    O observer;
    [[nodiscard]] constexpr O get() const { return observer; }
};

/// The inner layers, which a retry calls.
template <class Next>
struct LayeredCall {
    using Answer = typename Next::Answer;

    const Next& next;

    // An answer that worked stays where it is.
    struct Worked {
        Answer answer;
        [[nodiscard]] explicit operator bool() const noexcept { return answer.worked(); }
    };
    template <class Core>
    [[nodiscard]] Worked attempt(Core& core) const {
        Worked worked{next(core.attempt())};
        if (!worked) {
            const Failure failure = *worked.answer.failure;
            core.keep(std::move(worked.answer));
            core.failed(failure);
        }
        return worked;
    }
    [[nodiscard]] static Answer result_of(Worked&& worked) { return std::move(worked.answer); }
    [[nodiscard]] static Answer finish(Answer& answer) { return std::move(answer); }
};

}  // namespace detail

/// Repeats the inner layers of a Pipeline as its policy advises; each call runs a copy of the
/// policy.
///
/// An AttemptTimeout in the policy is a Timeout around each attempt that is not the last one.
///
/// The observer, if there is one, is that of `retry`. An lvalue, or one in a std::ref, must outlive
/// the pipeline. A temporary one is stored, and must be copyable: each call notifies a copy of it.
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
        requires(!detail::is_stored_observer<Observer>)
        : policy_{std::move(policy)}, observer_{&observer} {
        static_assert(detail::explain_observer<detail::RetryRunHooks, Observer>());
    }
    template <class O>
        requires std::same_as<detail::StoredObserver<O>, Observer>
    constexpr Retrying(P policy, O&& observer)
        : policy_{std::move(policy)}, observer_{std::move(observer)} {
        static_assert(detail::explain_observer<detail::RetryRunHooks, O>());
    }

    /// Returns how many rules of the policy refer to the object of `shared`, a Shared.
    template <class S>
    [[nodiscard]] constexpr std::size_t places_of(const S& shared) const noexcept {
        return detail::places_of(shared, policy_);
    }

    /// Returns the AttemptTimeout of the policy, and half of it.
    [[nodiscard]] constexpr detail::TimeLimit time_limit(Instant) const noexcept {
        const Duration limit = detail::limit_wish(policy_);  // negative if there is none
        return limit.count() < 0 ? detail::TimeLimit{} : detail::TimeLimit{limit, limit / 2};
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& around) const {
        auto&& observer = observer_.get();
        return detail::run_retry(policy_, context.sleeper, detail::LayeredCall<Next>{next},
                                 context.stop, observer,
                                 detail::AroundRetry<detail::MadeByLayers>{around, {&context}});
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt around) const {
        using Answer = typename Next::Answer;
        auto&& observer = observer_.get();
        detail::RetryCore<detail::RunPolicy<P>, std::remove_reference_t<decltype(context.sleeper)>,
                          Answer, std::remove_reference_t<decltype(observer)>, detail::MadeByLayers>
            core{policy_, context.sleeper, observer, around, {&context}};
        for (;;) {
            const detail::RetryStep step = core.next(context.stop.stop_requested());
            if (step == detail::RetryStep::finished) break;
            if (step == detail::RetryStep::call) {
                const Attempt& attempt = core.attempt();
                // A limit of 0ns means at once, which a Timeout does not accept.
                const Timeout limit{
                    detail::larger(elapsed(context.sleeper.now(), attempt.deadline), Duration{1})};
                auto answering = attempt.deadline == around.deadline
                                     ? next(attempt)
                                     : limit.await(next, context, attempt);
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
    [[no_unique_address]] detail::ObserverOfCalls<Observer> observer_;
};

template <class P>
Retrying(P) -> Retrying<P>;
template <class P, class Observer>
Retrying(P, Observer&) -> Retrying<P, detail::Unwrapped<Observer>>;
template <class P, class Observer>
    requires(!std::is_lvalue_reference_v<Observer> && !detail::Reference<Observer>)
Retrying(P, Observer&&) -> Retrying<P, detail::StoredObserver<Observer>>;
template <class P, detail::Reference Wrapper>
Retrying(P, Wrapper&&) -> Retrying<P, detail::Unwrapped<Wrapper>>;

}}  // namespace belay
