// SPDX-License-Identifier: MIT
/// \file belay/policy/any_policy.hpp
/// policies::AnyPolicy: a policy whose type is known only where it was made.
/// policies::OptionalRule: a rule of a Policy that may be left out at run time.
#pragma once

#include <array>        // std::array
#include <concepts>     // std::same_as
#include <cstddef>      // std::byte, std::max_align_t, std::size_t
#include <new>          // placement new
#include <optional>     // std::optional, std::nullopt
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_nothrow_move_constructible_v, std::remove_cvref_t
#include <utility>      // std::exchange, std::index_sequence, std::move

#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// How many bytes of a policy an ErasedRules holds in place.
inline constexpr std::size_t rules_in_place_bytes_max = 144;

/// Whether an ErasedRules holds a policy in place. Its move must not throw, so that of the policy
/// must not throw either.
template <class P>
inline constexpr bool is_held_in_place =
    sizeof(P) <= rules_in_place_bytes_max && alignof(P) <= alignof(std::max_align_t) &&
    std::is_nothrow_move_constructible_v<P>;

/// The functions of a policy of one type.
struct RulesTable {
    void* (*copy)(const void*, std::byte* buffer);
    void* (*move)(void*, std::byte* buffer) noexcept;  // ends the source; null if not in place
    void (*destroy)(void*) noexcept;                   // null if there is nothing to do
    std::array<void (*)(void* policy, void* asked) noexcept, ask_count> ask;
};

/// Makes a policy in the buffer if it fits, else on the heap.
template <class P, class From>
[[nodiscard]] void* make_rules(From&& from, std::byte* buffer) {
    if constexpr (is_held_in_place<P>) {
        return ::new (static_cast<void*>(buffer)) P(std::forward<From>(from));
    } else {
        return new P(std::forward<From>(from));
    }
}

template <class P, Ask A>
void ask_rules(void* policy, void* asked) noexcept {
    using Policy = std::conditional_t<A <= Ask::stops_after, const P, P>;
    P::template ask<A>(*static_cast<Policy*>(policy), *static_cast<Asked<A>*>(asked));
}
template <class P, std::size_t... I>
[[nodiscard]] constexpr RulesTable make_rules_table(std::index_sequence<I...>) noexcept {
    RulesTable table{nullptr, nullptr, nullptr, {&ask_rules<P, Ask{I}>...}};
    table.copy = [](const void* p, std::byte* buffer) {
        return make_rules<P>(*static_cast<const P*>(p), buffer);
    };
    if constexpr (!is_held_in_place<P>) {
        table.destroy = [](void* p) noexcept { delete static_cast<P*>(p); };
    } else {
        table.move = [](void* p, std::byte* buffer) noexcept {
            P& from = *static_cast<P*>(p);
            void* const moved = make_rules<P>(std::move(from), buffer);
            from.~P();
            return moved;
        };
        if constexpr (!std::is_trivially_destructible_v<P>) {
            table.destroy = [](void* p) noexcept { static_cast<P*>(p)->~P(); };
        }
    }
    return table;
}
template <class P>
inline constexpr RulesTable rules_table =
    make_rules_table<P>(std::make_index_sequence<ask_count>{});

/// Owns a policy of any type: in place if it fits, else in one allocation. A moved-from object may
/// only be assigned to or destroyed.
class ErasedRules {
public:
    template <HoldsRules P>
    explicit ErasedRules(P policy)
        : policy_{make_rules<P>(std::move(policy), buffer_)}, table_{&rules_table<P>} {}
    ErasedRules(const ErasedRules& other)
        : policy_{other.table().copy(other.policy_, buffer_)}, table_{other.table_} {}
    ErasedRules(ErasedRules&& other) noexcept
        : policy_{other.release_to(buffer_)}, table_{other.table_} {}
    // Not one function with a parameter by value: the operator of a class with an ErasedRules would
    // be noexcept then, although the copy may throw.
    ErasedRules& operator=(const ErasedRules& other) { return *this = ErasedRules{other}; }
    ErasedRules& operator=(ErasedRules&& other) noexcept {
        if (this == &other) return *this;
        // Destroyed last, because it may own `other`, and its rules may use this object.
        const ErasedRules former{std::move(*this)};
        policy_ = other.release_to(buffer_);
        table_ = other.table_;
        return *this;
    }
    ~ErasedRules() {
        if (policy_ != nullptr && table_->destroy != nullptr) table_->destroy(policy_);
    }

    template <Ask A>
    void ask(Asked<A>& a) const noexcept {
        table().ask[static_cast<std::size_t>(A)](policy_, &a);
    }

private:
    [[nodiscard]] const RulesTable& table() const noexcept {
        BELAY_PRECONDITION(policy_ != nullptr, "AnyPolicy: a moved-from policy cannot be used");
        return *table_;
    }
    /// Gives the policy away, and returns where it is now: in the buffer, or where it was.
    [[nodiscard]] void* release_to(std::byte* buffer) noexcept {
        void* const policy = std::exchange(policy_, nullptr);
        if (policy == nullptr || table_->move == nullptr) return policy;
        return table_->move(policy, buffer);
    }

    void* policy_;
    const RulesTable* table_;
    alignas(std::max_align_t) std::byte buffer_[rules_in_place_bytes_max];
};

/// Stands for the rules of an AnyPolicy, which may have any hook.
struct AnyRule {
    void wanted(Turn&) noexcept;
    [[nodiscard]] Duration attempt_limit() const noexcept;
};
}  // namespace detail

namespace policies {

/// Holds any policy, so that a program can choose it at run time.
///
///     policies::AnyPolicy policy = config.patient ? policies::AnyPolicy{Policy{...}}
///                                                 : policies::AnyPolicy{policies::bridge()};
///     auto answer = retry(policy, sleeper, [](const Attempt& attempt) { ... });
///
/// It gives the same advice as the policy in it, and draws the same random bits. As a rule of
/// another Policy, or in Remembered, its rules count as if they were written in its place.
///
/// A copy holds a copy of the policy, as that policy copies itself. So each run starts afresh, and
/// a run keeps the policy with which it began. The hooks never allocate.
///
/// The rules are not known at compile time. So a blocking call must take an Attempt, because the
/// policy may have an AttemptTimeout; and there is no `longest_wait`.
///
/// A moved-from object may only be assigned to or destroyed.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe (as far as the rules are).
/// Allocates:     never for a policy of at most `in_place_bytes_max` whose move is noexcept, and
///                whose alignment is not stricter than that of std::max_align_t. Any other policy
///                takes one allocation when the object is made, and one for each copy. An AnyPolicy
///                in it takes its own in addition. An object is larger than `in_place_bytes_max`,
///                so an AnyPolicy with another one in it always allocates. A move does not.
/// Throws:        std::bad_alloc if it allocates, and what a rule's copy constructor throws.
class AnyPolicy : public part::RuleGroup<AnyPolicy, detail::AnyRule> {
public:
    static constexpr std::string_view name = "AnyPolicy";
    /// How many bytes of a policy an object holds in place, without an allocation.
    static constexpr std::size_t in_place_bytes_max = detail::rules_in_place_bytes_max;

    /// Holds a policy, or a single rule.
    template <class P>
        requires(!std::same_as<std::remove_cvref_t<P>, AnyPolicy>)
    explicit AnyPolicy(P policy)
        : rules_{
              (static_cast<void>(explain::rule_like<P>()), detail::as_policy(std::move(policy)))} {}

    /// Passes on to the policy what a group is asked.
    template <detail::Ask A>
    static void ask(const AnyPolicy& self, detail::Asked<A>& a) noexcept {
        self.rules_.ask<A>(a);
    }

private:
    detail::ErasedRules rules_;
};

template <class R>
class OptionalRule;
}  // namespace policies

namespace detail {

template <class R>
inline constexpr bool is_optional_rule = false;
template <class R>
inline constexpr bool is_optional_rule<std::optional<R>> = true;

// Returns the rule of a Policy for what a program writes. Never called.
template <class R>
R rule_of(R);
template <class R>
policies::OptionalRule<R> rule_of(std::optional<R>);

}  // namespace detail

namespace policies {

/// A rule of a Policy that may be left out at run time. Write a std::optional:
///
///     std::optional<MaxElapsed> limit;
///     if (config.seconds > 0) limit.emplace(std::chrono::seconds{config.seconds});
///     Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, limit, MaxAttempts{10}};
///
/// A Policy turns a std::optional of a rule into an OptionalRule; this header must be included. An
/// empty one is as if it were not written. A full one is as if the rule were written in its place.
/// The rule may also be a Policy.
///
/// Models:        RuleLike, if R does.
/// Thread safety: distinct objects safe (as far as the rule is).
/// Allocates:     never.
template <class R>
class OptionalRule : public part::RuleGroup<OptionalRule<R>, R> {
    static_assert(explain::rule_like<R>());
    using Held = detail::AsPolicy<R>;

public:
    static constexpr std::string_view name = "OptionalRule";

    constexpr OptionalRule(std::optional<R> rule) noexcept {
        if (rule) rules_.emplace(detail::as_policy(*std::move(rule)));
    }

    /// Passes on to the rule what a group is asked.
    template <detail::Ask A, class Self>
    static constexpr void ask(Self& self, detail::Asked<A>& a) noexcept {
        if (self.rules_) Held::template ask<A>(*self.rules_, a);
    }
    /// Returns the rule as a policy, or null if there is none.
    [[nodiscard]] constexpr const Held* rules() const noexcept {
        return rules_ ? &*rules_ : nullptr;
    }

private:
    std::optional<Held> rules_;
};

}  // namespace policies

// More constrained than the guide of Policy, and so preferred to it.
template <class... Rules>
    requires(detail::is_optional_rule<Rules> || ...)
Policy(Rules...) -> Policy<decltype(detail::rule_of(std::declval<Rules>()))...>;

}}  // namespace belay
