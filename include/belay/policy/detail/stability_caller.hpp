// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/stability_caller.hpp
/// StabilityCaller: a call or a connection of a check, which runs a policy as retry does.
#pragma once

#include <algorithm>  // std::max, std::min
#include <cstdint>    // std::uint8_t

#include <belay/core/failure.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The next step of a call.
enum class StabilityStep : std::uint8_t { call, wait, finished };

/// One call: a copy of the policy, and what it planned. A test compares it with `retry`.
template <class P>
class StabilityCaller {
public:
    StabilityCaller(const P& rules, Instant now) : policy_{rules}, since_{now} {}

    /// `call`: an attempt has begun, and ended() gets its verdict. `wait`: call next() again at
    /// until().
    [[nodiscard]] StabilityStep next(Turn& turn) noexcept {
        if constexpr (HasWanted<P>) {
            if (!held_) policy_.wanted(turn);
            held_ = true;
        }
        Advice advice = policy_.admit(turn.now);
        if (!standing_.allows(turn.now)) advice = stronger(standing_, advice);
        if (advice.allows(turn.now)) {
            advice = policy_.begin(turn);
            if (advice.verb == Advice::Verb::go) {
                held_ = true;
                return StabilityStep::call;
            }
        }
        note(advice, turn.now);
        if (advice.verb == Advice::Verb::stop || advice.until == never) return abandon(turn);
        if (policy_.admit(advice.until).verb == Advice::Verb::stop) return abandon(turn);
        // A rule that rejects until now would be asked for ever.
        until_ =
            advice.until > turn.now ? advice.until : after(turn.now, std::chrono::milliseconds{1});
        return StabilityStep::wait;
    }
    /// Takes the verdict on the attempt. `wait` if there may be another one.
    [[nodiscard]] StabilityStep ended(Cause cause, Turn& turn) noexcept {
        held_ = false;
        if (cause == Cause::none) {
            policy_.succeeded(turn);
            return StabilityStep::finished;
        }
        return plan(policy_.failed(Failure{.cause = cause}, turn), turn);
    }
    /// Loses a connection that was stable. `wait` if there may be a dial.
    [[nodiscard]] StabilityStep lost(Turn& turn) noexcept {
        if (policy_.begin(turn).verb == Advice::Verb::go) policy_.succeeded(turn);
        return plan(policy_.lost(Failure{.cause = Cause::lost}, turn), turn);
    }
    /// Ends the call without a verdict.
    StabilityStep abandon(Turn& turn) noexcept {
        if (held_) policy_.abandoned(turn);
        held_ = false;
        return StabilityStep::finished;
    }

    [[nodiscard]] Instant since() const noexcept { return since_; }
    [[nodiscard]] Instant until() const noexcept { return until_; }
    [[nodiscard]] Duration longest_wait() const noexcept { return longest_wait_; }
    [[nodiscard]] Duration attempt_limit(Duration otherwise) const noexcept {
        return std::min(policy_.attempt_limit(otherwise), otherwise);
    }

private:
    // The stop of a rule with FailFast has an instant, too: the next caller may begin then.
    void note(const Advice& advice, Instant now) noexcept {
        if (advice.verb == Advice::Verb::go || advice.until == never) return;
        longest_wait_ = std::max(longest_wait_, elapsed(now, advice.until));
    }
    [[nodiscard]] StabilityStep plan(const Advice& advice, Turn& turn) noexcept {
        standing_ = advice;
        note(advice, turn.now);
        if (advice.verb == Advice::Verb::stop) return StabilityStep::finished;
        held_ = true;
        return StabilityStep::wait;
    }

    P policy_;
    Instant since_;
    Instant until_ = always;
    Advice standing_{};
    Duration longest_wait_{};
    bool held_ = false;  // wanted, begun or planned: the policy waits for the end
};

/// The rule of a caller that makes one attempt, with which brown-outs are compared.
struct OneAttempt {
    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept { return Advice::stop(); }
};

}}}  // namespace belay::detail
