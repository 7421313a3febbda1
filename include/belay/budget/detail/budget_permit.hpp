// SPDX-License-Identifier: MIT
/// \file belay/budget/detail/budget_permit.hpp
/// BudgetPermit: a permit that a caller holds of a shared budget or limit.
#pragma once

#include <utility>  // std::exchange

#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The right to make one attempt, with the duty to report its result. It is the Permit of all
/// budgets.
///
/// `PermitData` is what the owner needs at the verdict. Only the first verdict counts. On a
/// rejected, moved-from or finished permit, a verdict does nothing. The destructor gives a neutral
/// verdict, so no path leaks a permit. The owner must outlive the permit.
///
/// With `heeds_cause`, the owner's `on_failure` also receives the cause of the failure.
///
/// Thread safety: distinct objects safe; the verdict may come from any thread.
template <class Owner, class PermitData, bool heeds_cause = false>
class [[nodiscard]] BudgetPermit {
public:
    /// A rejected permit that can never be retried.
    constexpr BudgetPermit() noexcept = default;
    constexpr BudgetPermit(BudgetPermit&& other) noexcept
        : owner_{std::exchange(other.owner_, nullptr)},
          retry_at_{other.retry_at_},
          data_{other.data_} {}
    constexpr BudgetPermit& operator=(BudgetPermit&& other) noexcept {
        if (this != &other) {
            neutral();
            owner_ = std::exchange(other.owner_, nullptr);
            retry_at_ = other.retry_at_;
            data_ = other.data_;
        }
        return *this;
    }
    constexpr ~BudgetPermit() { neutral(); }

    /// Whether the attempt may be made (and has had no verdict yet).
    [[nodiscard]] constexpr explicit operator bool() const& noexcept { return owner_ != nullptr; }
    /// Does not compile, because a temporary permit is returned before the attempt.
    template <class Self = BudgetPermit>
    explicit operator bool() const&& {
        static_assert(!sizeof(Self*),
                      "acquire: a temporary permit is returned before the call; write if (auto "
                      "permit = object.acquire(turn))");
        return false;
    }
    /// Returns when a rejected caller may ask again, or `never` if time alone does not help.
    [[nodiscard]] constexpr Instant retry_at() const noexcept { return retry_at_; }
    /// Returns the same as advice: `go`, `suspend`, or `stop` if time alone does not help.
    [[nodiscard]] constexpr Advice advice() const noexcept {
        if (owner_ != nullptr) return Advice::go();
        return retry_at_ == never ? Advice::stop() : Advice::suspend(retry_at_);
    }

    /// Reports that the attempt succeeded.
    constexpr void success(Turn& turn) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_success(data_, turn.now);
    }
    /// Reports that the attempt failed. Returns `go` always: the cost of a retry is checked when it
    /// is planned.
    constexpr Advice failure(Turn& turn) noexcept { return failed(Cause::lost, turn); }
    /// The same for a known failure. A failure that shows nothing about the peer is neutral. If the
    /// peer is well because it rejected the request, the owner's `on_rejected` decides.
    constexpr Advice failure(const Failure& why, Turn& turn) noexcept {
        const PeerEvidence evidence = peer_evidence(why);
        if (evidence == PeerEvidence::unwell) return failed(why.cause, turn);
        if (evidence == PeerEvidence::nothing) neutral();
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_rejected(data_, turn.now);
        return Advice::go();
    }
    /// Reports that the attempt was made, and that its caller did not wait for the result. A retry
    /// stays paid for.
    constexpr void spend(Turn& turn) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) owner->on_rejected(data_, turn.now);
    }
    /// Reports that the attempt was not made, or that its result shows nothing.
    constexpr void neutral() noexcept {
        if (owner_ != nullptr) end_neutral();
    }

private:
    friend Owner;
    // Not inlined, because most permits have had their verdict when they are destroyed.
    [[gnu::noinline]] constexpr void end_neutral() noexcept {
        std::exchange(owner_, nullptr)->on_neutral(data_);
    }
    constexpr Advice failed([[maybe_unused]] Cause why, Turn& turn) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) {
            if constexpr (heeds_cause) {
                owner->on_failure(data_, why, turn.now);
            } else {
                owner->on_failure(data_, turn.now);
            }
        }
        return Advice::go();
    }
    constexpr BudgetPermit(Owner& owner, PermitData data) noexcept : owner_{&owner}, data_{data} {}
    constexpr explicit BudgetPermit(Instant retry_at) noexcept : retry_at_{retry_at} {}

    Owner* owner_ = nullptr;
    Instant retry_at_ = never;
    [[no_unique_address]] PermitData data_{};
};

}}}  // namespace belay::detail
