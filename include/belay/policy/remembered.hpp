// SPDX-License-Identifier: MIT
/// \file belay/policy/remembered.hpp
/// Remembered: a policy that continues where it was after a restart of the program.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/policy/detail/spending.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/policy_history.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class P>
class Remembered;

namespace detail {
template <class P>
inline constexpr bool may_share<Remembered<P>> = true;
}  // namespace detail

/// Wraps a whole policy, and records its events in a PolicyHistory:
///
///     PolicyHistory history;                          // outlives the code that runs the policy
///     if (!history.restore(journal.kept(), now, wall)) ...    // what an earlier process saved
///     Remembered policy{history, Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{10}},
///                       turn};
///
/// If you pass a turn, the policy first receives what the history holds, and the first attempt
/// waits for the rest of the wait. If the program ended during an attempt, that attempt counts as
/// lost at the time of the last save. So a crash loop backs off, and stops if a rule decides so.
/// No limit shortens the rest of the wait. Its end is PolicyHistory::until.
///
/// A history that ended with `stop` is forgotten, so that it does not hold back a program that is
/// started again. A `reset` also makes it forget everything. The exception is the first `reset`
/// after restoring, which is the start of the code that runs the policy.
///
/// Use one history for one long run: a supervisor, a session. Shared objects do not receive the
/// events again, because other policies use them, too.
///
/// Models:        RuleLike, if P does.
/// Thread safety: that of the history: one thread at a time.
template <class P>
class Remembered
    : public detail::WantedHook<Remembered<P>, detail::HasWanted<detail::AsPolicy<P>>> {
    static_assert(explain::rule_like<P>());

public:
    static constexpr std::string_view name = "Remembered";

    /// Starts afresh. The history must outlive this object and all copies.
    Remembered(PolicyHistory& history, P policy) noexcept
        : policy_{detail::as_policy(std::move(policy))}, history_{&history} {
        history.clear();
    }
    /// Continues where the history ends.   Complexity: O(attempts that it holds).
    Remembered(PolicyHistory& history, P policy, Turn turn) noexcept
        : policy_{detail::as_policy(std::move(policy))}, history_{&history} {
        replay(turn);
    }

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        if (stopped_) return Advice::stop();
        const Advice advice = policy_.admit(now);
        return until_ > now ? detail::stronger(Advice::wait_at_least(until_), advice) : advice;
    }
    /// Returns until when limits of the policy reject attempts; as Policy::rejects_until.
    [[nodiscard]] Instant rejects_until(Instant now) const noexcept {
        return policy_.rejects_until(now);
    }
    Advice begin(Turn& turn) noexcept {
        const Advice advice = policy_.begin(turn);
        if (advice.verb == Advice::Verb::go) {
            restored_ = false;
            until_ = always;
            history_->began();
        }
        return advice;
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        return noted(detail::Outcome::failed, failure, policy_.failed(failure, turn), turn);
    }
    [[nodiscard]] Advice lost(const Failure& failure, Turn& turn) noexcept {
        return noted(detail::Outcome::lost, failure, policy_.lost(failure, turn), turn);
    }
    void succeeded(Turn& turn) noexcept {
        policy_.succeeded(turn);
        history_->note(turn.now, detail::Outcome::succeeded, {}, always);
    }
    void abandoned(Turn& turn) noexcept {
        const bool gives_up = !history_->attempting() && stops_at(turn.now);
        policy_.abandoned(turn);
        if (gives_up) return history_->clear();
        paused(turn.now);
    }
    void spend(Turn& turn) noexcept { detail::spend(policy_, turn); }
    void reset() noexcept {
        if (restored_) {
            restored_ = false;
            return;
        }
        forget();
    }
    /// Returns what the policy requests, else `otherwise`.
    [[nodiscard]] Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        return policy_.stable_window(otherwise);
    }
    /// Returns whether a rule of the policy lets age alone decide; see ResetWhenStable.
    [[nodiscard]] bool stable_by_age() const noexcept { return policy_.stable_by_age(); }
    /// Returns what the policy requests, else `otherwise`.
    [[nodiscard]] Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        return policy_.attempt_limit(otherwise);
    }
    /// Returns whether a rule of the policy stops after an attempt that times out at `end`.
    [[nodiscard]] bool stops_after(Instant end) const noexcept { return policy_.stops_after(end); }
    /// Returns how many rules of the policy refer to the object of `shared`, a Shared.
    template <class S>
    [[nodiscard]] std::size_t places_of(const S& shared) const noexcept {
        return policy_.places_of(shared);
    }

private:
    template <class, bool>
    friend struct detail::WantedHook;

    void notify_wanted(Turn& turn) noexcept {
        policy_.wanted(turn);
        history_->wanted(turn.now);
    }

    // Whether nothing waits for the next attempt, because a rule stops by then.
    [[nodiscard]] bool stops_at(Instant now) const noexcept {
        const Advice next = admit(now);
        return next.verb == Advice::Verb::stop ||
               (!next.allows(now) && policy_.admit(next.until).verb == Advice::Verb::stop);
    }
    // From now on nothing is tried, until an attempt is wanted again. Rules with `wanted` depend on
    // this.
    void paused(Instant now) noexcept {
        if constexpr (detail::HasWanted<detail::AsPolicy<P>>) {
            history_->abandoned(now);
        } else {
            history_->ended();
        }
    }

    Advice noted(detail::Outcome what, const Failure& failure, const Advice& advice,
                 const Turn& turn) noexcept {
        if (advice.verb == Advice::Verb::stop) {
            history_->clear();
        } else {
            const Instant until = advice.verb == Advice::Verb::go ? always : advice.until;
            history_->note(turn.now, what, failure, until);
        }
        return advice;
    }

    void replay(Turn turn) noexcept {
        bool planned = false;
        for (const PolicyHistory::Event& event : history_->events()) {
            const Failure failure{.cause = event.cause, .retry_after = event.retry_after};
            Turn then{event.at, turn.bits};
            for (std::uint32_t i = 0; i < event.times; ++i) {
                static_cast<void>(policy_.replay(event.what, failure, then));
            }
            planned = event.what != detail::Outcome::succeeded &&
                      event.what != detail::Outcome::abandoned;
        }
        // Not earlier than the events before it, in case the wall clock has gone back.
        Turn end{detail::larger(history_->saved_at(), latest()), turn.bits};
        if (history_->attempting()) {
            const Failure crash{.cause = Cause::lost};
            stopped_ = noted(detail::Outcome::failed, crash,
                             policy_.replay(detail::Outcome::failed, crash, end), end)
                           .verb == Advice::Verb::stop;
            planned = true;
        }
        if (planned) {
            policy_.replay_end(end);
            paused(end.now);
        }
        // The policy has stopped, or would stop, because of events long ago. The new start means
        // that it must try again.
        if (!stopped_ && policy_.admit(turn.now).verb == Advice::Verb::stop) return forget();
        until_ = history_->until();
        restored_ = stopped_ || !history_->events().empty();
    }
    [[nodiscard]] Instant latest() const noexcept {
        return history_->events().empty() ? always : history_->events().back().at;
    }
    void forget() noexcept {
        policy_.reset();
        until_ = always;
        stopped_ = false;
        history_->clear();
    }

    detail::AsPolicy<P> policy_;
    PolicyHistory* history_;
    Instant until_ = always;
    bool restored_ = false;
    bool stopped_ = false;  // by the crash that was found when it was restored
};

template <class P>
Remembered(PolicyHistory&, P) -> Remembered<P>;
template <class P>
Remembered(PolicyHistory&, P, Turn) -> Remembered<P>;

}}  // namespace belay
