// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/permit.hpp
/// Permit: the right to make one attempt, which a shared object of the library gives.
#pragma once

#include <cstdint>  // std::uint8_t
#include <utility>  // std::exchange

#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// How an attempt ended, for the owner of its permit.
enum class PermitEnd : std::uint8_t {
    success,   ///< it succeeded
    failure,   ///< it failed, and the peer is unwell
    rejected,  ///< the peer is well and rejected it, or its caller did not wait for the result
    neutral    ///< it was not made, or its result shows nothing
};

/// The end of an attempt.
struct PermitResult {
    PermitEnd end;
    Instant now;         // without meaning if it is neutral
    const Failure& why;  // the reason of a failure, if it is known
};

/// The right to make one attempt, with the duty to report its result. It is the Permit of breakers,
/// budgets and limits.
///
/// Its only end is the owner's `on_end(data, result)`. `PermitData` is what the owner needs for
/// that. Only the first verdict counts. On a rejected, moved-from or finished permit, a
/// verdict does nothing. The destructor gives a neutral verdict, so no path leaks a permit. The
/// owner must outlive the permit.
///
/// With `has_clock`, the owner is a breaker: it also takes verdicts by its own clock (`own_time`),
/// classifies failures itself (`evidence_of`), and replies to a failure with its `admit`. Its
/// `on_end<PermitEnd>(data, at, time, why)` calls `time` only if it needs the turn.
///
/// Thread safety: distinct objects safe; the verdict may come from any thread.
template <class Owner, class PermitData, bool has_clock = false>
class [[nodiscard]] Permit {
public:
    /// A rejected permit that can never be retried.
    constexpr Permit() noexcept = default;
    constexpr Permit(Permit&& other) noexcept
        : owner_{std::exchange(other.owner_, nullptr)}, at_{other.at_}, data_{other.data_} {}
    /// Drops the permit that was held. Do not use it to ask again: in `permit = object.acquire()`
    /// the old permit is still out when the new one is requested.
    constexpr Permit& operator=(Permit&& other) noexcept {
        if (this != &other) {
            neutral();
            owner_ = std::exchange(other.owner_, nullptr);
            at_ = other.at_;
            data_ = other.data_;
        }
        return *this;
    }
    constexpr ~Permit() { neutral(); }

    /// Whether the attempt may be made (and has had no verdict yet).
    [[nodiscard]] constexpr explicit operator bool() const& noexcept { return owner_ != nullptr; }
    /// Does not compile, because a temporary permit is returned before the attempt.
    template <class Self = Permit>
    explicit operator bool() const&& {
        static_assert(!sizeof(Self*),
                      "acquire: a temporary permit is returned before the call; write if (auto "
                      "permit = object.acquire(...))");
        return false;
    }
    /// Returns when a rejected caller may ask again, or `never` if time alone does not help.
    /// Pre: it was rejected.
    [[nodiscard]] constexpr Instant retry_at() const noexcept { return at_; }
    /// Returns the same as advice: `go`, `suspend`, or `stop` if time alone does not help. A
    /// breaker's permit never stops.
    [[nodiscard]] constexpr Advice advice() const noexcept {
        if (owner_ != nullptr) return Advice::go();
        return at_ == never && !has_clock ? Advice::stop() : Advice::suspend(at_);
    }

    /// Reports that the attempt succeeded.
    constexpr void success(Turn& turn) noexcept { end<PermitEnd::success>(by(turn)); }
    /// Does the same by the breaker's own clock.
    void success() noexcept
        requires has_clock
    {
        if (owner_ != nullptr) end<PermitEnd::success>(owner_->own_time());
    }
    /// Reports that the attempt failed. Returns `go`, because the cost of a retry is checked when
    /// it is planned, or the next advice of a breaker.
    constexpr Advice failure(Turn& turn) noexcept {
        return next(turn, [&] { end<PermitEnd::failure>(by(turn)); });
    }
    /// The same for a known failure. A failure that shows nothing about the peer is neutral. If the
    /// peer is well because it rejected the request, that is the end `rejected`.
    constexpr Advice failure(const Failure& why, Turn& turn) noexcept {
        return next(turn, [&] { end_known(why, by(turn)); });
    }
    /// Does the same by the breaker's own clock.
    void failure() noexcept
        requires has_clock
    {
        if (owner_ != nullptr) end<PermitEnd::failure>(owner_->own_time());
    }
    /// Does the same for a known failure by the breaker's own clock.
    void failure(const Failure& why) noexcept
        requires has_clock
    {
        if (owner_ != nullptr) end_known(why, owner_->own_time());
    }
    /// Reports that the attempt was made, and that its caller did not wait for the result. A retry
    /// stays paid for.
    constexpr void spend(Turn& turn) noexcept { end<PermitEnd::rejected>(by(turn)); }
    /// Reports that the attempt was not made, or that its result shows nothing.
    constexpr void neutral() noexcept {
        if (owner_ != nullptr) end_neutral();
    }

private:
    friend Owner;
    static constexpr Failure unknown{};

    // A copy, so that the turn of a caller need not be in memory.
    [[nodiscard]] static constexpr auto by(const Turn& turn) noexcept {
        return [turn] { return turn; };
    }
    // Not inlined, because most permits have had their verdict when they are destroyed.
    [[gnu::noinline]] constexpr void end_neutral() noexcept {
        end<PermitEnd::neutral>([] {});
    }
    template <PermitEnd how, class Time>
    [[gnu::always_inline]] constexpr void end(Time time, const Failure& why = unknown) noexcept {
        if (auto* const owner = std::exchange(owner_, nullptr)) {
            if constexpr (has_clock) {
                owner->template on_end<how>(data_, at_, time, why);
            } else if constexpr (how == PermitEnd::neutral) {
                owner->on_end(data_, {how, always, why});
            } else {
                owner->on_end(data_, {how, time().now, why});
            }
        }
    }
    template <class Time>
    constexpr void end_known(const Failure& why, Time time) noexcept {
        if (owner_ == nullptr) return;
        switch (evidence_of(why)) {
            case PeerEvidence::unwell:
                return end<PermitEnd::failure>(time, why);
            case PeerEvidence::well:
                return end<PermitEnd::rejected>(time, why);
            case PeerEvidence::nothing:
                return end<PermitEnd::neutral>(time, why);
        }
    }
    [[nodiscard]] constexpr PeerEvidence evidence_of(const Failure& why) const noexcept {
        if constexpr (has_clock) {
            return owner_->evidence_of(why);
        } else {
            return peer_evidence(why);
        }
    }
    template <class End>
    [[gnu::always_inline]] constexpr Advice next([[maybe_unused]] Turn& turn, End end) noexcept {
        [[maybe_unused]] Owner* const owner = owner_;
        end();
        if constexpr (has_clock) {
            if (owner != nullptr) return owner->admit(turn.now);
        }
        return Advice::go();
    }
    constexpr Permit(Owner& owner, PermitData data, Instant at = never) noexcept
        : owner_{&owner}, at_{at}, data_{data} {}
    constexpr explicit Permit(Instant retry_at) noexcept : at_{retry_at} {}

    Owner* owner_ = nullptr;
    /// For a rejected permit: when to ask again. For a given one: what its owner needs at its end.
    Instant at_ = never;
    [[no_unique_address]] PermitData data_{};
};

}}}  // namespace belay::detail
