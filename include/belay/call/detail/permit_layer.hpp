// SPDX-License-Identifier: MIT
/// \file belay/call/detail/permit_layer.hpp
/// PermitLayer: uses a Shared object as a layer of a Pipeline. Each call needs one of its permits.
#pragma once

#include <cstdint>    // std::uint64_t
#include <exception>  // std::uncaught_exceptions

#include <belay/call/answer.hpp>
#include <belay/call/task.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The permit of one call. Without a verdict its destructor returns it, unless a deadline has ended
/// the call.
template <class Rule, class Context>
class HeldPermit {
public:
    // A copy of a rule refers to the same object and holds no permit.
    HeldPermit(const Rule& rule, Context& context, const Attempt& attempt) noexcept
        : rule_{rule}, context_{context}, asked_{context.asked}, deadline_{attempt.deadline} {
        Turn turn = context_.turn();
        rule_.do_not_spread();
        if constexpr (requires { rule_.wanted(turn); }) rule_.wanted(turn);
        // Calls begin without admit, because begin counts granted and rejected permits.
        advice_ = rule_.begin(turn);
        held_ = advice_.verb == Advice::Verb::go;
        advice_.by = Rule::name;
        // A stop with an instant is that of a rule with FailFast.
        if (!held_ && (advice_.verb != Advice::Verb::stop || advice_.until != never)) {
            wait_ = elapsed(turn.now, advice_.until);
        }
    }
    HeldPermit(const HeldPermit&) = delete;
    HeldPermit& operator=(const HeldPermit&) = delete;
    // An exception that leaves the call is no verdict.
    ~HeldPermit() {
        if (!held_ || context_.asked == asked_ || std::uncaught_exceptions() != 0) return;
        Turn turn = context_.turn();
        if (turn.now < deadline_) return;
        static_cast<void>(rule_.failed(context_.cut(deadline_), turn));
    }
    [[nodiscard]] bool granted() const noexcept { return held_; }
    // Also notifies the observer.
    template <class Answer>
    [[nodiscard]] Answer rejection(const Attempt& attempt) const {
        context_.rejected(attempt, advice_);
        return Answer::reject(CallErrc::call_rejected, wait_);
    }
    // A call that an inner layer rejected shows nothing about the peer.
    template <class Answer>
    void settle(Answer& answer) noexcept {
        held_ = false;
        if (answer.rejected) return;
        Turn turn = context_.turn();
        if (answer.worked()) return rule_.succeeded(turn);
        static_cast<void>(rule_.failed(*answer.failure, turn));
        answer.rejects_until =
            detail::larger(answer.rejects_until, detail::rejects_until(rule_, turn.now));
    }

private:
    Rule rule_;
    Context& context_;
    const std::uint64_t asked_;  // before the call
    const Instant deadline_;
    Advice advice_{};
    Duration wait_{};
    bool held_ = false;
};

template <class Rule>
struct PermitLayer {
    const Rule& rule;

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        HeldPermit<Rule, Context> permit{rule, context, attempt};
        if (!permit.granted()) return permit.template rejection<typename Next::Answer>(attempt);
        typename Next::Answer answer = next(attempt);
        permit.settle(answer);
        return answer;
    }
    template <class Next, class Context>
    belay::Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        return hold(rule, next, context, attempt);
    }

private:
    // Static, because the layer itself is a temporary.
    template <class Next, class Context>
    static belay::Task<typename Next::Answer> hold(const Rule& rule, Next next, Context& context,
                                                   Attempt attempt) {
        HeldPermit<Rule, Context> permit{rule, context, attempt};
        if (!permit.granted()) co_return permit.template rejection<typename Next::Answer>(attempt);
        auto answering = next(attempt);
        typename Next::Answer answer = co_await std::move(answering);
        permit.settle(answer);
        co_return answer;
    }
};

/// Returns a layer unchanged, and wraps a Shared object in a PermitLayer.
template <class L>
[[nodiscard]] constexpr const L& layer_of(const L& layer) noexcept {
    return layer;
}
template <class Object>
[[nodiscard]] constexpr PermitLayer<Shared<Object>> layer_of(const Shared<Object>& rule) noexcept {
    static_assert(!part::ReservableLike<Object>,
                  "Pipeline: a budget cannot be a layer, because it pays for retries; put it into "
                  "Retrying's policy or into a Hedge");
    return {rule};
}

}}}  // namespace belay::detail
