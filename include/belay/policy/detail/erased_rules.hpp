// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/erased_rules.hpp
/// ErasedRules: a policy whose type is known only where it was made.
#pragma once

#include <cstddef>      // std::byte, std::max_align_t, std::size_t
#include <new>          // placement new
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::move

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

}}  // namespace belay
