// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/rule_slots.hpp
/// RuleSlots and AdviceFold: how a Policy stores its rules and combines their advice.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view
#include <utility>      // std::index_sequence

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// Not std::tuple: it is not trivially copyable, and it would add parse time for every user.
template <std::size_t, class R>
struct RuleSlot {
    [[no_unique_address]] R rule;
};
template <class, class... Rules>
struct RuleSlots;
template <std::size_t... I, class... Rules>
struct RuleSlots<std::index_sequence<I...>, Rules...> : RuleSlot<I, Rules>... {
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) noexcept {
        (f(static_cast<RuleSlot<I, Rules>*>(this)->rule), ...);
    }
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) const noexcept {
        (f(static_cast<const RuleSlot<I, Rules>*>(this)->rule), ...);
    }
    template <std::size_t N, class R>
    static constexpr R& at(RuleSlot<N, R>& slot) noexcept {
        return slot.rule;
    }
};

template <class R>
[[nodiscard]] constexpr Advice sign(Advice advice, const R&) noexcept {
    if constexpr (requires { std::string_view{R::name}; }) {
        if (advice.by.empty()) advice.by = R::name;
    }
    return advice;
}

// Returns the window that a rule requests, or a negative value for none. A rule that wraps a policy
// takes the value to return in that case.
template <class R>
[[nodiscard]] constexpr Duration stable_wish(const R& rule) noexcept {
    constexpr Duration nothing{-1};
    if constexpr (requires { rule.stable_window(nothing); }) {
        return rule.stable_window(nothing);
    } else if constexpr (requires { rule.stable_window(); }) {
        return rule.stable_window();
    } else {
        return nothing;
    }
}
template <class R>
[[nodiscard]] constexpr Duration limit_wish(const R& rule) noexcept {
    constexpr Duration nothing{-1};
    if constexpr (requires { rule.attempt_limit(nothing); }) {
        return rule.attempt_limit(nothing);
    } else if constexpr (requires { rule.attempt_limit(); }) {
        return rule.attempt_limit();
    } else {
        return nothing;
    }
}

/// Returns whether a rule stops after an attempt that times out at `end`.
template <class R>
[[nodiscard]] constexpr bool stops_after([[maybe_unused]] const R& rule,
                                         [[maybe_unused]] Instant end) noexcept {
    if constexpr (requires { rule.stops_after(end); }) {
        return rule.stops_after(end);
    } else {
        return false;
    }
}

/// Returns until when a rule rejects attempts as a limit, such as an open breaker; `always` if it
/// does not, or for ever. A rule that holds a policy returns the latest instant of its rules.
template <class R>
[[nodiscard]] constexpr Instant rejects_until([[maybe_unused]] const R& rule,
                                              [[maybe_unused]] Instant now) noexcept {
    if constexpr (requires { rule.rejects_until(now); }) {
        return rule.rejects_until(now);
    } else if constexpr (requires { rule.admit(now); }) {
        const Advice advice = rule.admit(now);
        const bool is_limit =
            advice.verb == Advice::Verb::suspend || advice.verb == Advice::Verb::stop;
        return is_limit && advice.until != never ? advice.until : always;
    } else {
        return always;
    }
}

/// Returns how often a rule or a layer, with the rules in it, refers to the object of `shared`.
template <class R, class S>
[[nodiscard]] constexpr std::size_t places_of([[maybe_unused]] const S& shared,
                                              [[maybe_unused]] const R& rule) noexcept {
    if constexpr (requires { rule.places_of(shared); }) {
        return rule.places_of(shared);
    } else {
        return 0;
    }
}

/// Checks that an attempt takes at most one permit of an object that judges results. With two, the
/// first rule takes the probe of a half-open breaker, and the second one rejects the attempt.
template <class P, class R>
constexpr void expect_one_rule([[maybe_unused]] const P& policy,
                               [[maybe_unused]] const R& rule) noexcept {
    if constexpr (judges_results<R>) {
        BELAY_PRECONDITION(policy.places_of(rule) == 1,
                           "Policy: a breaker, adaptive limit or throttle must be in one rule");
    }
}

/// Combines advice. Unlike pairwise `stronger`, it remembers waits that stronger advice outranked.
class AdviceFold {
public:
    template <class R>
    constexpr void add(const Advice& advice, const R& rule) noexcept {
        // Compilers then need no copies where all rules allow an attempt, as is usual.
        if (advice.verb == Advice::Verb::go) return;
        const Advice signed_advice = detail::sign(advice, rule);
        strongest_ = detail::stronger(strongest_, signed_advice);
        if (advice.until > latest_.until) latest_ = signed_advice;
    }
    [[nodiscard]] constexpr bool stopped() const noexcept {
        return strongest_.verb == Advice::Verb::stop;
    }
    [[nodiscard]] constexpr Advice result() const noexcept {
        // Compilers then need no copy where all rules allow an attempt.
        if (strongest_.verb == Advice::Verb::go) return Advice::go();
        const bool suspends = strongest_.verb == Advice::Verb::suspend;
        return suspends ? detail::stronger(strongest_, latest_) : strongest_;
    }

private:
    Advice strongest_{};
    Advice latest_{};
};

}}}  // namespace belay::detail
