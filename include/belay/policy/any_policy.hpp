// SPDX-License-Identifier: MIT
/// \file belay/policy/any_policy.hpp
/// policies::AnyPolicy: a policy whose type is known only where it was made.
/// policies::OptionalRule: a rule of a Policy that may be left out at run time.
#pragma once

#include <concepts>     // std::same_as
#include <cstddef>      // std::byte, std::max_align_t, std::size_t
#include <new>          // placement new
#include <optional>     // std::optional, std::nullopt
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_nothrow_move_constructible_v, std::remove_cvref_t
#include <utility>      // std::exchange, std::move

#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Gives an ErasedRules the halves of a policy's hooks. A Policy calls them for a group among its
/// rules, so that the rules of the group count as if they were written in its place.
template <class... Rules>
struct Policy<Rules...>::Halves {
    static constexpr void admit(const Policy& policy, detail::AdviceFold& fold,
                                Instant now) noexcept {
        policy.join_admit(fold, now);
    }
    static constexpr Advice begin_rejecting(Policy& policy, Turn& turn) noexcept {
        return policy.template begin_from<0>(turn);
    }
    static constexpr void notify(Policy& policy, detail::RuleNotice what, Turn& turn) noexcept {
        switch (what) {
            case detail::RuleNotice::begin_certain:
                return policy.begin_certain(turn);
            case detail::RuleNotice::abandon_rejecting:
                return policy.template abandon_rejecting_from<0>(turn);
            case detail::RuleNotice::abandon_reviewers:
                return policy.template abandon_reviewers<0>(turn);
            case detail::RuleNotice::wanted:
                return policy.notify_wanted(turn);
            case detail::RuleNotice::succeeded:
                return policy.succeeded(turn);
            case detail::RuleNotice::abandoned:
                return policy.abandoned(turn);
            case detail::RuleNotice::spend:
                return detail::spend(policy, turn);
            case detail::RuleNotice::rejected:
                return detail::reject(policy, turn);
        }
    }
    static constexpr void ask(Policy& policy, detail::RuleQuestion what, detail::AdviceFold& fold,
                              const Failure& failure, Turn& turn) noexcept {
        switch (what) {
            case detail::RuleQuestion::failed:
                return policy.join_failed(fold, failure, turn);
            case detail::RuleQuestion::lost:
                return policy.join_lost(fold, failure, turn);
            case detail::RuleQuestion::review:
                return policy.template review_from<0>(fold, turn);
            case detail::RuleQuestion::replay_reviews:
                return policy.replay_reviews(fold, turn);
        }
    }
    static constexpr void replay_rules(Policy& policy, detail::AdviceFold& fold,
                                       detail::Outcome what, const Failure& failure,
                                       Turn& turn) noexcept {
        policy.replay_rules(fold, what, failure, turn);
    }
};

namespace detail {

/// How many bytes of a policy an ErasedRules holds in place.
inline constexpr std::size_t rules_in_place_bytes_max = 144;

/// Whether an ErasedRules holds a policy in place. Its move must not throw, so that of the policy
/// must not throw either.
template <class P>
inline constexpr bool is_held_in_place =
    sizeof(P) <= rules_in_place_bytes_max && alignof(P) <= alignof(std::max_align_t) &&
    std::is_nothrow_move_constructible_v<P>;

/// The functions that copy, move and destroy a policy of one type.
struct RulesOwnership {
    void* (*copy)(const void*, std::byte* buffer);
    void* (*move)(void*, std::byte* buffer) noexcept;  // ends the source; null if not in place
    void (*destroy)(void*) noexcept;                   // null if there is nothing to do
};
/// The functions that return what the rules of a policy request.
struct RulesRequests {
    Duration (*stable_window)(const void*, Duration) noexcept;
    bool (*stable_by_age)(const void*) noexcept;
    Duration (*attempt_limit)(const void*, Duration) noexcept;
    bool (*stops_after)(const void*, Instant) noexcept;
};
/// The functions of a policy of one type. See Policy::Halves for most of them.
struct RulesTable {
    RulesOwnership ownership;
    RulesRequests requests;
    Advice (*advice)(const void*, Instant) noexcept;
    Advice (*begin)(void*, Turn&) noexcept;
    void (*admit)(const void*, AdviceFold&, Instant) noexcept;
    Instant (*rejects_until)(const void*, Instant) noexcept;
    Advice (*begin_rejecting)(void*, Turn&) noexcept;
    void (*notify)(void*, RuleNotice, Turn&) noexcept;
    void (*ask)(void*, RuleQuestion, AdviceFold&, const Failure&, Turn&) noexcept;
    void (*replay_rules)(void*, AdviceFold&, Outcome, const Failure&, Turn&) noexcept;
    void (*reset)(void*) noexcept;
};

template <class P>
[[nodiscard]] P& rules_as(void* policy) noexcept {
    return *static_cast<P*>(policy);
}
template <class P>
[[nodiscard]] const P& rules_as(const void* policy) noexcept {
    return *static_cast<const P*>(policy);
}

/// Makes a policy in the buffer if it fits, else on the heap.
template <class P, class From>
[[nodiscard]] void* make_rules(From&& from, std::byte* buffer) {
    if constexpr (is_held_in_place<P>) {
        return ::new (static_cast<void*>(buffer)) P(std::forward<From>(from));
    } else {
        return new P(std::forward<From>(from));
    }
}

template <class P>
[[nodiscard]] constexpr RulesOwnership make_rules_ownership() noexcept {
    RulesOwnership owner{};
    owner.copy = [](const void* p, std::byte* buffer) {
        return make_rules<P>(rules_as<P>(p), buffer);
    };
    if constexpr (!is_held_in_place<P>) {
        owner.destroy = [](void* p) noexcept { delete static_cast<P*>(p); };
    } else {
        owner.move = [](void* p, std::byte* buffer) noexcept {
            void* const moved = make_rules<P>(std::move(rules_as<P>(p)), buffer);
            rules_as<P>(p).~P();
            return moved;
        };
        if constexpr (!std::is_trivially_destructible_v<P>) {
            owner.destroy = [](void* p) noexcept { rules_as<P>(p).~P(); };
        }
    }
    return owner;
}

template <class P>
[[nodiscard]] constexpr RulesRequests make_rules_requests() noexcept {
    RulesRequests requests{};
    requests.stable_window = [](const void* p, Duration otherwise) noexcept {
        return rules_as<P>(p).stable_window(otherwise);
    };
    requests.stable_by_age = [](const void* p) noexcept { return rules_as<P>(p).stable_by_age(); };
    requests.attempt_limit = [](const void* p, Duration otherwise) noexcept {
        return rules_as<P>(p).attempt_limit(otherwise);
    };
    requests.stops_after = [](const void* p, Instant end) noexcept {
        return rules_as<P>(p).stops_after(end);
    };
    return requests;
}

template <class P>
[[nodiscard]] constexpr RulesTable make_rules_table() noexcept {
    using Halves = typename P::Halves;
    RulesTable table{};
    table.ownership = make_rules_ownership<P>();
    table.requests = make_rules_requests<P>();
    table.advice = [](const void* p, Instant now) noexcept { return rules_as<P>(p).admit(now); };
    table.begin = [](void* p, Turn& turn) noexcept { return rules_as<P>(p).begin(turn); };
    table.admit = [](const void* p, AdviceFold& fold, Instant now) noexcept {
        Halves::admit(rules_as<P>(p), fold, now);
    };
    table.rejects_until = [](const void* p, Instant now) noexcept {
        return rules_as<P>(p).rejects_until(now);
    };
    table.begin_rejecting = [](void* p, Turn& turn) noexcept {
        return Halves::begin_rejecting(rules_as<P>(p), turn);
    };
    table.notify = [](void* p, RuleNotice what, Turn& turn) noexcept {
        Halves::notify(rules_as<P>(p), what, turn);
    };
    table.ask = [](void* p, RuleQuestion what, AdviceFold& fold, const Failure& failure,
                   Turn& turn) noexcept { Halves::ask(rules_as<P>(p), what, fold, failure, turn); };
    table.replay_rules = [](void* p, AdviceFold& fold, Outcome what, const Failure& failure,
                            Turn& turn) noexcept {
        Halves::replay_rules(rules_as<P>(p), fold, what, failure, turn);
    };
    table.reset = [](void* p) noexcept { rules_as<P>(p).reset(); };
    return table;
}

template <class P>
inline constexpr RulesTable rules_table = make_rules_table<P>();

/// Owns a policy of any type: in place if it fits, else in one allocation. A moved-from object may
/// only be assigned to or destroyed.
class ErasedRules {
public:
    template <class... Rules>
    explicit ErasedRules(Policy<Rules...> policy)
        : policy_{make_rules<Policy<Rules...>>(std::move(policy), buffer_)},
          table_{&rules_table<Policy<Rules...>>} {}
    ErasedRules(const ErasedRules& other)
        : policy_{other.table().ownership.copy(other.policy_, buffer_)}, table_{other.table_} {}
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
    ~ErasedRules() { destroy(); }

    [[nodiscard]] Advice advice(Instant now) const noexcept { return table().advice(policy_, now); }
    [[nodiscard]] Advice begin(Turn& turn) noexcept { return table().begin(policy_, turn); }
    void admit(AdviceFold& fold, Instant now) const noexcept { table().admit(policy_, fold, now); }
    [[nodiscard]] Instant rejects_until(Instant now) const noexcept {
        return table().rejects_until(policy_, now);
    }
    [[nodiscard]] Advice begin_rejecting(Turn& turn) noexcept {
        return table().begin_rejecting(policy_, turn);
    }
    void notify(RuleNotice what, Turn& turn) noexcept { table().notify(policy_, what, turn); }
    void ask(RuleQuestion what, AdviceFold& fold, const Failure& failure, Turn& turn) noexcept {
        table().ask(policy_, what, fold, failure, turn);
    }
    void replay_rules(AdviceFold& fold, Outcome what, const Failure& failure, Turn& turn) noexcept {
        table().replay_rules(policy_, fold, what, failure, turn);
    }
    void reset() noexcept { table().reset(policy_); }
    [[nodiscard]] Duration stable_window(Duration otherwise) const noexcept {
        return table().requests.stable_window(policy_, otherwise);
    }
    [[nodiscard]] bool stable_by_age() const noexcept {
        return table().requests.stable_by_age(policy_);
    }
    [[nodiscard]] Duration attempt_limit(Duration otherwise) const noexcept {
        return table().requests.attempt_limit(policy_, otherwise);
    }
    [[nodiscard]] bool stops_after(Instant end) const noexcept {
        return table().requests.stops_after(policy_, end);
    }

private:
    [[nodiscard]] const RulesTable& table() const noexcept {
        BELAY_PRECONDITION(policy_ != nullptr, "AnyPolicy: a moved-from policy cannot be used");
        return *table_;
    }
    /// Gives the policy away, and returns where it is now: in the buffer, or where it was.
    [[nodiscard]] void* release_to(std::byte* buffer) noexcept {
        void* const policy = std::exchange(policy_, nullptr);
        if (policy == nullptr || table_->ownership.move == nullptr) return policy;
        return table_->ownership.move(policy, buffer);
    }
    void destroy() noexcept {
        if (policy_ == nullptr || table_->ownership.destroy == nullptr) return;
        table_->ownership.destroy(policy_);
    }

    void* policy_;
    const RulesTable* table_;
    alignas(std::max_align_t) std::byte buffer_[rules_in_place_bytes_max];
};

}  // namespace detail

namespace policies {
class AnyPolicy;
}  // namespace policies
namespace detail {
template <>
inline constexpr bool is_rule_group<policies::AnyPolicy> = true;
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
class AnyPolicy {
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

    /// Returns whether an attempt may start at `now`, and changes nothing; as Policy::admit.
    [[nodiscard]] Advice admit(Instant now) const noexcept { return rules_.advice(now); }
    /// Returns until when limits among the rules reject attempts; as Policy::rejects_until.
    [[nodiscard]] Instant rejects_until(Instant now) const noexcept {
        return rules_.rejects_until(now);
    }
    /// Starts an attempt, unless a rule rejects it; as Policy::begin.
    Advice begin(Turn& turn) noexcept { return rules_.begin(turn); }
    /// Reports that the attempt failed, and returns what to do now.   Pre: an attempt has begun.
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        detail::AdviceFold fold;
        rules_.ask(detail::RuleQuestion::failed, fold, failure, turn);
        rules_.ask(detail::RuleQuestion::review, fold, failure, turn);
        return fold.result();
    }
    /// Reports that a connection that had succeeded has ended, and returns what to do now.
    [[nodiscard]] Advice lost(const Failure& failure, Turn& turn) noexcept {
        detail::AdviceFold fold;
        rules_.ask(detail::RuleQuestion::lost, fold, failure, turn);
        rules_.ask(detail::RuleQuestion::review, fold, failure, turn);
        return fold.result();
    }
    /// Reports that an attempt is wanted from now on.
    void wanted(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::wanted, turn); }
    /// Reports that the attempt succeeded.   Pre: an attempt has begun.
    void succeeded(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::succeeded, turn); }
    /// Reports that the attempt ended without a verdict; as Policy::abandoned.
    void abandoned(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::abandoned, turn); }
    /// Reports that the attempt was made, and its result is not awaited.
    /// Retries stay paid for.
    void spend(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::spend, turn); }
    /// Reports that an attempt was due, and that `admit` rejected it.
    void rejected(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::rejected, turn); }
    /// Starts counts afresh, by the user's command.
    void reset() noexcept { rules_.reset(); }

    /// Returns the longest window that a rule requests, else `otherwise`.
    [[nodiscard]] Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        return rules_.stable_window(otherwise);
    }
    /// Returns whether age alone makes a connection stable, because a rule requests it.
    [[nodiscard]] bool stable_by_age() const noexcept { return rules_.stable_by_age(); }
    /// Returns the shortest limit that a rule requests, else `otherwise`.
    [[nodiscard]] Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        return rules_.attempt_limit(otherwise);
    }
    /// Returns whether a rule stops after an attempt that times out at `end`.
    [[nodiscard]] bool stops_after(Instant end) const noexcept { return rules_.stops_after(end); }

    /// Returns the rules, for a Policy in which this is a rule.
    [[nodiscard]] detail::ErasedRules& rules() noexcept { return rules_; }
    [[nodiscard]] const detail::ErasedRules& rules() const noexcept { return rules_; }

private:
    detail::ErasedRules rules_;
};

template <class R>
class OptionalRule;
}  // namespace policies

namespace detail {

template <class R>
inline constexpr bool nests_policy<policies::OptionalRule<R>> = true;

template <class R>
inline constexpr bool is_optional_rule = false;
template <class R>
inline constexpr bool is_optional_rule<std::optional<R>> = true;

template <class R>
struct RuleOfImpl {
    using type = R;
};
template <class R>
struct RuleOfImpl<std::optional<R>> {
    using type = policies::OptionalRule<R>;
};
template <class R>
using RuleOf = typename RuleOfImpl<R>::type;

template <class R>
inline constexpr bool requests_limit = HasAttemptLimit<R>;
template <class... Rules>
inline constexpr bool requests_limit<Policy<Rules...>> = (requests_limit<Rules> || ...);

// The request exists only if the rule has it, because a blocking call must take an Attempt then.
template <class Self, bool requests>
struct OptionalLimit {};
template <class Self>
struct OptionalLimit<Self, true> {
    /// Returns what the rule requests, else `otherwise`.
    [[nodiscard]] constexpr Duration attempt_limit(
        Duration otherwise = default_attempt_limit) const noexcept {
        const auto* const rules = static_cast<const Self&>(*this).rules();
        return rules != nullptr ? rules->attempt_limit(otherwise) : otherwise;
    }
};

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
class OptionalRule
    : public detail::WantedHook<OptionalRule<R>, detail::HasWanted<detail::AsPolicy<R>>>,
      public detail::OptionalLimit<OptionalRule<R>, detail::requests_limit<R>> {
    static_assert(explain::rule_like<R>());

public:
    static constexpr std::string_view name = "OptionalRule";

    constexpr OptionalRule(std::optional<R> rule) noexcept {
        if (rule) rules_.emplace(detail::as_policy(*std::move(rule)));
    }

    /// Returns the advice of the rule, and `go` if there is none.
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return rules_ ? rules_->admit(now) : Advice::go();
    }

    /// Returns the rule as a policy, or null if there is none; for the Policy in which this is one.
    [[nodiscard]] constexpr detail::AsPolicy<R>* rules() noexcept {
        return rules_ ? &*rules_ : nullptr;
    }
    [[nodiscard]] constexpr const detail::AsPolicy<R>* rules() const noexcept {
        return rules_ ? &*rules_ : nullptr;
    }

private:
    template <class, bool>
    friend struct detail::WantedHook;

    constexpr void notify_wanted([[maybe_unused]] Turn& turn) noexcept {
        if (rules_) rules_->wanted(turn);
    }

    std::optional<detail::AsPolicy<R>> rules_;
};

}  // namespace policies

// More constrained than the guide of Policy, and so preferred to it.
template <class... Rules>
    requires(detail::is_optional_rule<Rules> || ...)
Policy(Rules...) -> Policy<detail::RuleOf<Rules>...>;

}}  // namespace belay
