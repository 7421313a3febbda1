// SPDX-License-Identifier: MIT
/// \file belay/call/detail/hedge_run.hpp
/// HedgeRun: the calls of one run of a Hedge, and the decision when the next call may begin.
#pragma once

#include <chrono>       // std::chrono::seconds
#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <type_traits>  // std::conditional_t
#include <utility>      // std::move

#include <belay/call/answer.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/detail/hedge_delay.hpp>
#include <belay/call/task.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Used instead of a budget: calls are free.
struct NoBudget {};

/// The cost of one call: a permit of the budget, if there is one. Only the first verdict counts.
/// Without a verdict the permit is returned. A rejected call that is asked for again keeps its
/// rule, and so the instant at which its AskAgain needs no tokens.
template <class Budget>
class HedgePermit {
public:
    using Source = Shared<Budget>;

    Advice take(const Source& source, bool first, Cause why, Turn& turn) noexcept {
        if (!permit_) {
            permit_.emplace(source);
            if (!first) {
                // A further call is a retry of one that has failed, or has not answered.
                static_cast<void>(permit_->failed(Failure{why}, turn));
            } else if constexpr (HasWanted<Source>) {
                permit_->wanted(turn);
            }
        }
        Advice advice = permit_->admit(turn.now);
        if (advice.allows(turn.now)) advice = permit_->begin(turn);
        advice.by = Source::name;
        return advice;
    }
    void settle(const std::optional<Failure>& failure, Turn& turn) noexcept {
        if (!permit_) return;
        if (failure && had_no_time(*failure)) {
            if constexpr (requires { permit_->spend(turn); }) permit_->spend(turn);
        } else if (failure) {
            static_cast<void>(permit_->failed(*failure, turn));
        } else {
            permit_->succeeded(turn);
        }
        permit_.reset();
    }
    void give_back() noexcept { permit_.reset(); }

private:
    std::optional<Source> permit_;
};
template <>
class HedgePermit<NoBudget> {
public:
    struct Source {};

    static Advice take(Source, bool, Cause, Turn&) noexcept { return Advice::go(); }
    static void settle(const std::optional<Failure>&, Turn&) noexcept {}
    static void give_back() noexcept {}
};

/// The parameters of a Hedge.
template <class Payer, class DelayBefore, class Choice>
struct HedgePlan {
    using Budget = Payer;
    static constexpr bool times_calls = std::same_as<DelayBefore, HedgeRecentDelay>;
    // Without a budget, the percentile bounds the share of further calls.
    static constexpr bool limits_share = times_calls && std::same_as<Payer, NoBudget>;

    DelayBefore delay;
    std::size_t further;
    [[no_unique_address]] typename HedgePermit<Budget>::Source budget;
    [[no_unique_address]] Choice choice{};
    Duration retry_after_max = std::chrono::seconds{30};
};

/// Decides one run of a Hedge and owns its calls. Destroying it destroys the calls under way.
template <class Answer, class Plan, class Context, std::size_t calls_max, bool counted>
class HedgeRun {
public:
    HedgeRun(const Plan& plan, Context& context, const Attempt& around)
        : plan_{plan}, context_{context}, around_{around}, next_at_{context.sleeper.now()} {
        context_.began = never;  // until the first call
    }
    HedgeRun(const HedgeRun&) = delete;
    HedgeRun& operator=(const HedgeRun&) = delete;
    /// A caller that stops waiting destroys the run. Further calls that were made are paid for.
    ~HedgeRun() {
        Turn turn = context_.turn();
        for (std::size_t i = 0; i < begun_; ++i) {
            if (calls_[i].task) note_unfinished(calls_[i], turn.now);
            if (i == 0) continue;
            const bool is_late = turn.now >= around_.deadline && calls_[i].context;
            settle_unfinished(calls_[i],
                              is_late ? calls_[i].context->cut(around_.deadline)
                                      : Failure{.cause = Cause::timed_out},
                              turn);
        }
    }

    /// Collects the results of the calls that have ended, and adds the others to `any`. Returns
    /// whether the run is decided.
    bool collect(AnyDone& any) {
        running_ = false;
        std::optional<Answer> decided;
        for (Call& call : calls_) {
            if (!call.task) continue;
            if (!call.task->done()) {
                any.add(*call.task);
                running_ = true;
                continue;
            }
            Answer answer = call.task->take();
            call.task.reset();
            note(call, answer);
            if (decides(answer) && (!decided || answer.worked())) {
                decided.emplace(std::move(answer));
            } else if (replaces_last(answer)) {
                last_.emplace(std::move(answer));
            }
        }
        if (!decided) return false;
        // A success that was not chosen is still better than a failure.
        if (!decided->worked() && last_ && last_->worked()) decided = std::move(last_);
        // Calls still under way get the verdict of the whole run.
        Turn turn = context_.turn();
        for (Call& call : calls_) settle_unfinished(call, decided->failure, turn);
        last_ = std::move(decided);
        return true;
    }

    /// Returns whether the next call is due.
    [[nodiscard]] bool due() const noexcept {
        return may_begin() && context_.sleeper.now() >= next_at_;
    }
    /// Returns whether there is a next call to wait for, until next_at().
    [[nodiscard]] bool waits() const noexcept { return may_begin() && (running_ || !rejected_); }
    [[nodiscard]] Instant next_at() const noexcept { return next_at_; }
    [[nodiscard]] bool running() const noexcept { return running_; }
    /// Returns whether the end of the run destroys a call that has not ended.
    [[nodiscard]] bool under_way() const noexcept {
        for (std::size_t i = 0; i < begun_; ++i) {
            if (calls_[i].task && !calls_[i].task->done()) return true;
        }
        return false;
    }
    /// Returns the answer of the run. If it failed, its wait is what is left of all that were
    /// requested.   Pre: decided, or nothing is due or running.
    [[nodiscard]] Answer& answer() noexcept {
        if (!last_->worked()) {
            // An answer of the peer has the waits of limits in a member of its own.
            last_->rejects_until = detail::larger(last_->rejects_until, waits_.of_limits);
            const Instant end = last_->rejected ? waits_.of_limits : waits_.of_peers;
            last_->failure->retry_after = elapsed(context_.sleeper.now(), end);
        }
        return *last_;
    }

    /// Begins the next call if the budget pays for it.   Pre: due.
    template <class Next>
    void begin(const Next& next) {
        Turn turn = context_.turn();
        Attempt attempt = around_;
        attempt.number = context_.calls + 1;
        attempt.repeats = around_.is_retry();
        Call& call = calls_[begun_];
        const bool first = begun_ == 0;
        // The policy of a Retrying counts the first call of each of its attempts.
        if (!first || !counted) {
            const Advice advice = call.permit.take(plan_.budget, first, why_, turn);
            if (advice.verb != Advice::Verb::go) return reject(attempt, advice);
        }
        if constexpr (Plan::limits_share) {
            if (first) {
                plan_.delay.recent->note_first_call();
            } else if (!plan_.delay.recent->take_further_call()) {
                return reject(attempt, Advice{Advice::Verb::stop, never, "Hedge"});
            }
        }
        // If these throw, there is no call, and its permit is returned.
        if (!first) context_.hedged(attempt);
        call.task.emplace(next.within(call.context.emplace(own_context()))(attempt));
        ++context_.calls;
        ++begun_;
        why_ = Cause::timed_out;
        if constexpr (Plan::times_calls) call.began = turn.now;
        if (begun_ <= plan_.further) {
            next_at_ = detail::larger(after(turn.now, plan_.delay.before(begun_)), waits_.of_peers);
        }
        call.task->start();
    }

private:
    struct Untimed {};
    using Start = std::conditional_t<Plan::times_calls, Instant, Untimed>;
    struct Call {
        // Calls run side by side, so each one has its own count of what it has called.
        std::optional<Context> context;
        std::optional<belay::Task<Answer>> task;
        [[no_unique_address]] HedgePermit<typename Plan::Budget> permit;
        [[no_unique_address]] Start began{};
    };

    // The ends of the waits that were requested.
    struct Waits {
        Instant of_peers = always;   // no call begins before it
        Instant of_limits = always;  // which rejected a call
    };

    [[nodiscard]] Context own_context() const noexcept {
        Context own = context_;
        own.asked = 0;
        own.began = never;
        own.around = &context_;
        return own;
    }
    // A call that an inner layer held was not made, and costs nothing.
    static void settle_unfinished(Call& call, const std::optional<Failure>& failure,
                                  Turn& turn) noexcept {
        if (!call.context || call.context->asked == 0) return call.permit.give_back();
        call.permit.settle(failure, turn);
    }

    [[nodiscard]] bool decides(const Answer& answer) const {
        if (!answer.worked()) return plan_.choice.is_definite(*answer.failure);
        // A layer that replaces an answer may have left no value.
        return !answer.returned || plan_.choice.chooses(*answer.returned);
    }
    [[nodiscard]] bool replaces_last(const Answer& answer) const noexcept {
        if (!last_ || answer.worked()) return true;
        // A failure does not replace a success, nor a rejection a response of the peer.
        return !last_->worked() && (!answer.rejected || last_->rejected);
    }

    [[nodiscard]] bool may_begin() const noexcept {
        if (closed_) return false;
        return begun_ == 0 ||
               (begun_ <= plan_.further && !context_.stop.stop_requested() &&
                next_at_ <= context_.latest(around_.deadline) && next_at_ < around_.deadline);
    }

    void note(Call& call, const Answer& answer) {
        Turn turn = context_.turn();
        if (!answer.worked() && answer.failure->retry_after > Duration::zero()) {
            Instant& end = answer.rejected ? waits_.of_limits : waits_.of_peers;
            end = detail::larger(end, after(turn.now, answer.failure->retry_after));
            // The caller decides whether to wait so long.
            if (!answer.rejected && answer.failure->retry_after > plan_.retry_after_max)
                closed_ = true;
        }
        if (!answer.worked()) {
            waits_.of_limits = detail::larger(waits_.of_limits, answer.rejects_until);
        }
        rejected_ = answer.rejected;
        if (answer.rejected) return call.permit.give_back();
        call.permit.settle(answer.failure, turn);
        if (answer.worked()) return note_latency(call, turn.now);
        note_unfinished(call, turn.now);
        why_ = answer.failure->cause;
        next_at_ = detail::larger(turn.now, waits_.of_peers);
    }

    void note_latency([[maybe_unused]] const Call& call, [[maybe_unused]] Instant now) noexcept {
        if constexpr (Plan::times_calls) plan_.delay.recent->record(elapsed(call.began, now));
    }
    void note_unfinished([[maybe_unused]] const Call& call, [[maybe_unused]] Instant now) noexcept {
        if constexpr (Plan::times_calls)
            plan_.delay.recent->record_more_than(elapsed(call.began, now));
    }

    void reject(const Attempt& attempt, const Advice& advice) {
        context_.rejected(attempt, advice);
        closed_ = advice.verb == Advice::Verb::stop || advice.until == never || begun_ == 0;
        if (closed_) calls_[begun_].permit.give_back();
        next_at_ = advice.until;
        if (begun_ != 0) return;
        if (advice.until != never) waits_.of_limits = advice.until;
        last_.emplace(Answer::reject(CallErrc::call_rejected, Duration{}));
    }

    const Plan plan_;
    Context& context_;
    const Attempt around_;
    Call calls_[calls_max];
    std::size_t begun_ = 0;
    Instant next_at_;
    Waits waits_{};
    Cause why_ = Cause::timed_out;  // the failure that the next call retries
    bool running_ = false;
    bool rejected_ = false;  // whether the last call that ended was rejected
    bool closed_ = false;    // no further call: for lack of budget, or the peer's wait is too long
    std::optional<Answer> last_;
};

}}}  // namespace belay::detail
