// SPDX-License-Identifier: MIT
/// \file belay/budget/detail/budget_permit.hpp
/// BudgetPermit: what a caller holds of a shared budget or limit.
#pragma once

#include <utility>  // std::exchange

#include <belay/policy/detail/peer_evidence.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The right to make one attempt, and the duty to say how it went; the Permit of all budgets.
///
/// `Stake` is what the owner must know at the verdict. Only the first verdict counts; on a refused,
/// moved-from or finished permit every verdict is a no-op. The destructor is neutral, so that no
/// path leaks. The owner must outlive it.
///
/// Thread safety: distinct objects safe; the verdict may come from any thread.
template <class Owner, class Stake>
class [[nodiscard]] BudgetPermit {
public:
    /// Refused, and never to be asked.
    constexpr BudgetPermit() noexcept = default;
    constexpr BudgetPermit(BudgetPermit&& other) noexcept
        : owner_{std::exchange(other.owner_, nullptr)},
          retry_at_{other.retry_at_},
          stake_{other.stake_} {}
    constexpr BudgetPermit& operator=(BudgetPermit&& other) noexcept {
        if (this != &other) {
            neutral();
            owner_ = std::exchange(other.owner_, nullptr);
            retry_at_ = other.retry_at_;
            stake_ = other.stake_;
        }
        return *this;
    }
    constexpr ~BudgetPermit() { neutral(); }

    /// Whether the attempt may be made (and has had no verdict yet).
    [[nodiscard]] constexpr explicit operator bool() const& noexcept { return owner_ != nullptr; }
    /// A permit that nobody holds has gone back before the attempt: `if (auto permit = ...)`.
    explicit operator bool() const&& = delete;
    /// When a refused caller may ask again; `never` if time alone does not help.
    [[nodiscard]] constexpr Instant retry_at() const noexcept { return retry_at_; }
    /// The same as an opinion: `go`, `suspend`, or `stop` if time alone does not help.
    [[nodiscard]] constexpr Advice advice() const noexcept {
        if (owner_ != nullptr) return Advice::go();
        return retry_at_ == never ? Advice::stop() : Advice::suspend(retry_at_);
    }

    /// The attempt worked.
    constexpr void success(Turn& turn) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_success(stake_, turn.now);
    }
    /// The attempt failed. Always `go`: what a retry costs is asked when it is planned.
    constexpr Advice failure(Turn& turn) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_failure(stake_, turn.now);
        return Advice::go();
    }
    /// The same of a failure that is known: one that says nothing of the peer is neutral, and where
    /// the peer is well, as it says no, the owner knows what that means to it.
    constexpr Advice failure(const Failure& why, Turn& turn) noexcept {
        const PeerEvidence says = peer_evidence(why);
        if (says == PeerEvidence::unwell) return failure(turn);
        if (says == PeerEvidence::nothing) neutral();
        if (auto* const owner = std::exchange(owner_, nullptr))
            owner->on_rejected(stake_, turn.now);
        return Advice::go();
    }
    /// The attempt was not made, or says nothing.
    constexpr void neutral() noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_neutral(stake_);
    }

private:
    friend Owner;
    constexpr BudgetPermit(Owner& owner, Stake stake) noexcept : owner_{&owner}, stake_{stake} {}
    constexpr explicit BudgetPermit(Instant retry_at) noexcept : retry_at_{retry_at} {}

    Owner* owner_ = nullptr;
    Instant retry_at_ = never;
    [[no_unique_address]] Stake stake_{};
};

}}}  // namespace belay::detail
