// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/erased_rules.hpp
/// ErasedRules: a policy whose type is known only where it was made.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/policy/detail/spending.hpp>
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

/// The functions of a policy of one type. See Policy::Halves for most of them.
struct RulesTable {
    void* (*copy)(const void*);
    void (*destroy)(void*) noexcept;
    void (*admit)(const void*, AdviceFold&, Instant) noexcept;
    Instant (*rejects_until)(const void*, Instant) noexcept;
    Advice (*begin_rejecting)(void*, Turn&) noexcept;
    void (*notify)(void*, RuleNotice, Turn&) noexcept;
    void (*ask)(void*, RuleQuestion, AdviceFold&, const Failure&, Turn&) noexcept;
    void (*replay_rules)(void*, AdviceFold&, Outcome, const Failure&, Turn&) noexcept;
    void (*reset)(void*) noexcept;
    Duration (*stable_window)(const void*, Duration) noexcept;
    bool (*stable_by_age)(const void*) noexcept;
    Duration (*attempt_limit)(const void*, Duration) noexcept;
};

template <class P>
[[nodiscard]] P& rules_as(void* policy) noexcept {
    return *static_cast<P*>(policy);
}
template <class P>
[[nodiscard]] const P& rules_as(const void* policy) noexcept {
    return *static_cast<const P*>(policy);
}

template <class P>
[[nodiscard]] constexpr RulesTable make_rules_table() noexcept {
    using Halves = typename P::Halves;
    RulesTable table{};
    table.copy = [](const void* p) -> void* { return new P{rules_as<P>(p)}; };
    table.destroy = [](void* p) noexcept { delete static_cast<P*>(p); };
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
    table.stable_window = [](const void* p, Duration otherwise) noexcept {
        return rules_as<P>(p).stable_window(otherwise);
    };
    table.stable_by_age = [](const void* p) noexcept { return rules_as<P>(p).stable_by_age(); };
    table.attempt_limit = [](const void* p, Duration otherwise) noexcept {
        return rules_as<P>(p).attempt_limit(otherwise);
    };
    return table;
}

template <class P>
inline constexpr RulesTable rules_table = make_rules_table<P>();

/// Owns a policy of any type, in one allocation. A moved-from object may only be assigned to or
/// destroyed.
class ErasedRules {
public:
    template <class... Rules>
    explicit ErasedRules(Policy<Rules...> policy)
        : policy_{new Policy<Rules...>{std::move(policy)}},
          table_{&rules_table<Policy<Rules...>>} {}
    ErasedRules(const ErasedRules& other)
        : policy_{other.table().copy(other.policy_)}, table_{other.table_} {}
    ErasedRules(ErasedRules&& other) noexcept
        : policy_{std::exchange(other.policy_, nullptr)}, table_{other.table_} {}
    ErasedRules& operator=(ErasedRules other) noexcept {
        std::swap(policy_, other.policy_);
        std::swap(table_, other.table_);
        return *this;
    }
    ~ErasedRules() {
        if (policy_ != nullptr) table_->destroy(policy_);
    }

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
        return table().stable_window(policy_, otherwise);
    }
    [[nodiscard]] bool stable_by_age() const noexcept { return table().stable_by_age(policy_); }
    [[nodiscard]] Duration attempt_limit(Duration otherwise) const noexcept {
        return table().attempt_limit(policy_, otherwise);
    }

private:
    [[nodiscard]] const RulesTable& table() const noexcept {
        BELAY_PRECONDITION(policy_ != nullptr, "AnyPolicy: a moved-from policy cannot be used");
        return *table_;
    }

    void* policy_;
    const RulesTable* table_;
};

}  // namespace detail

}}  // namespace belay
