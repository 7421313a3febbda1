// SPDX-License-Identifier: MIT
/// \file belay/call/hedge.hpp
/// Hedge: makes a second call if the first is slow; a layer of a Pipeline. Hedge::Percentile: a
/// percentile of recent latencies, as its delay.
#pragma once

#include <chrono>       // std::chrono::seconds
#include <concepts>     // std::copy_constructible, std::same_as, std::integral
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <exception>    // std::exception_ptr
#include <optional>     // std::optional
#include <type_traits>  // std::is_invocable_r_v, std::remove_reference_t
#include <utility>      // std::move

#include <belay/call/answer.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/task.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The same delay before each further call.
struct HedgeFixedDelay {
    Duration delay;

    [[nodiscard]] constexpr Duration before(std::size_t) const noexcept { return delay; }
};

template <class F>
concept HedgeDelayFunction =
    std::copy_constructible<F> && requires(const F& delay, std::size_t further) {
        { delay(further) } noexcept -> std::same_as<Duration>;
    };
/// A delay by the number of the further call: 1, 2, 3.
template <HedgeDelayFunction F>
struct HedgeDelayOfEach {
    [[no_unique_address]] F of;

    [[nodiscard]] constexpr Duration before(std::size_t further) const noexcept {
        const Duration delay = of(further);
        BELAY_PRECONDITION(delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        return delay;
    }
};

/// A delay by the latencies of the last calls; both are in call/hedge.hpp.
class HedgePercentile;
struct HedgeRecentDelay;

/// Returns whether no further call can succeed after this cause.
[[nodiscard]] constexpr bool is_fatal(Cause cause) noexcept {
    return cause == Cause::permanent || cause == Cause::forbidden || cause == Cause::unauthorized;
}

/// The first success decides a Hedge, and a failure that no further call can correct.
struct HedgeAnySuccess {
    [[nodiscard]] static constexpr bool is_definite(const Failure& failure) noexcept {
        return detail::is_fatal(failure.cause);
    }
    template <class Returned>
    [[nodiscard]] static constexpr bool chooses(const Returned&) noexcept {
        return true;
    }
};
/// The first success decides for which a predicate returns true.
template <class Predicate>
struct HedgeChosen {
    [[no_unique_address]] Predicate predicate;

    [[nodiscard]] static constexpr bool is_definite(const Failure& failure) noexcept {
        return detail::is_fatal(failure.cause);
    }

    template <class Returned>
    [[nodiscard]] constexpr bool chooses(const Returned& returned) const {
        static_assert(
            std::is_invocable_r_v<bool, const Predicate&, const Returned&>,
            "Hedge::until: the predicate must be 'bool operator()(const R&) const', where "
            "R is the type that the call returns");
        return predicate(returned);
    }
};

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
        context_.note_wait();  // until the first call
    }
    /// A caller that stops waiting destroys the run. Further calls that were made are paid for.
    ~HedgeRun() {
        Turn turn = context_.turn();
        if (is_held()) context_.note_wait();
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

    /// Returns whether the next call is due. Its delay counts from when the last one was made.
    /// While an inner layer holds that one, the next would have to wait, too.
    [[nodiscard]] bool is_due() noexcept {
        const Instant now = context_.sleeper.now();
        if (!waits() || now < next_at_) return false;
        if (begun_ == 0) return true;
        const Call& last = calls_[begun_ - 1];
        const Instant made = last.task ? last.context->first_began : always;
        if (made == never) {
            const Duration again = detail::larger(elapsed(last.began, now) / 16, recheck);
            next_at_ = after(now, detail::larger(last.delay, again));
        } else {
            next_at_ = detail::larger(next_at_, after(made, last.delay));
        }
        return now >= next_at_;
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
        call.began = turn.now;
        if (begun_ <= plan_.further) {
            call.delay = plan_.delay.before(begun_);
            next_at_ = detail::larger(after(turn.now, call.delay), waits_.of_peers);
        }
        call.task->start();
    }

private:
    // The shortest time until a call that an inner layer holds is looked at again.
    static constexpr Duration recheck = std::chrono::milliseconds{1};

    struct Call {
        // Calls run side by side, so each one has its own count of what it has called.
        std::optional<Context> context;
        std::optional<belay::Task<Answer>> task;
        [[no_unique_address]] HedgePermit<typename Plan::Budget> permit;
        Instant began{};
        Duration delay{};  // from when it is made until the next
    };

    // The ends of the waits that were requested.
    struct Waits {
        Instant of_peers = always;   // no call begins before it
        Instant of_limits = always;  // which rejected a call
    };

    [[nodiscard]] Context own_context() const noexcept {
        Context own = context_;
        own.asked = 0;
        own.note_wait();
        own.around = &context_;
        return own;
    }
    // Returns whether inner layers hold all calls that have not ended.
    [[nodiscard]] bool is_held() const noexcept {
        bool held = false;
        for (std::size_t i = 0; i < begun_; ++i) {
            if (!calls_[i].task || calls_[i].task->done()) continue;
            if (calls_[i].context->began != never) return false;
            held = true;
        }
        return held;
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
        calls_[begun_ - 1].delay = Duration{};
    }

    // Returns the time that a call has taken since an inner layer let it through.
    [[nodiscard]] static Duration took(const Call& call, Instant now) noexcept {
        const Instant made = call.context->first_began;
        return made == never ? Duration{} : elapsed(made, now);
    }
    void note_latency([[maybe_unused]] const Call& call, [[maybe_unused]] Instant now) noexcept {
        if constexpr (Plan::times_calls) plan_.delay.recent->record(took(call, now));
    }
    void note_unfinished([[maybe_unused]] const Call& call, [[maybe_unused]] Instant now) noexcept {
        if constexpr (Plan::times_calls) plan_.delay.recent->record_more_than(took(call, now));
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

template <class Budget>
consteval bool explain_hedge_budget() {
    static_assert(
        part::ReservableLike<Budget>,
        "Hedge: the third argument must be a budget of retries; write another Shared as a "
        "layer of its own");
    return true;
}

// This replaces a delay if the arguments are wrong.
template <class... Given>
struct HedgeMisuse {};
}  // namespace detail

/// Makes further calls of the inner layers of a Pipeline while the earlier ones have not answered.
///
/// The first success counts, and the other calls are destroyed while they wait.
///
///     Hedge{50ms, 2}                    // a second call after 50 ms, a third after 100 ms
///     Hedge{50ms, 2, Shared{budget}}    // while a budget of retries pays for them
///     Hedge{of_further, 2}              // each after `of_further(1)`, `of_further(2)`
///     Hedge{p95, 1}                     // after the 95th percentile of recent latencies
///     Hedge{50ms, 2}.until(is_fresh)    // the first success for which is_fresh returns true
///
/// A callable for the delay is `Duration operator()(std::size_t further) const noexcept`. It gets
/// the number of the further call, from 1 on, and returns the time from the call before it. For a
/// percentile, see Hedge::Percentile.
///
/// After a failure, the next call begins at once. If the peer requested a wait (`retry_after`), it
/// begins after that wait, and no call begins before it. If the wait is longer than
/// `retry_after_max`, which is 30 s if you set no other, no further call begins. The whole ends
/// - with a failure that no further call can correct (permanent, forbidden, unauthorized);
/// - with a failure after which nothing else is under way and no further call may begin before the
///   deadline.
///
/// A further call begins only if at least half of its limit is left; see Timeout::counts_after.
/// Its delay counts from when the inner layers made the call before it. While that one waits in a
/// queue of this program, such as that of a Queued, there is no further call. After such a wait,
/// the further call may begin later by a sixteenth of it.
///
/// With `until`, a success that is not chosen does not end the whole. The calls that are under way
/// continue, and further ones begin after their delays. If none is chosen, the last success counts.
///
/// If all calls fail, the last failure counts. A call that an inner layer rejected does not start
/// another call early; if it is the only call, it ends the whole.
///
/// Each call has a `number` in its Attempt: 1, 2, 3, over all attempts of a Retrying around it. So
/// `fn` can ask another server each time. An observer of the pipeline is notified of further calls
/// by `on_hedge(const Attempt&)`, and of calls that the budget rejected by `on_rejection`.
///
/// With a budget, each further call takes a permit, as a retry does. The cause is that of the
/// failure before it, or timed_out. The permit reports the result of its call. If a call is
/// destroyed under way, the result of the whole counts for it. If the whole is destroyed, too, the
/// call counts as failed. A call that an inner layer held until then, such as Queued, was not made
/// and costs nothing. First calls earn the budget; inside a Retrying, its policy has to count them.
///
/// A call may resume another call of the same Hedge from inside its own code, for example by an
/// event that both share. If the calls of a Hedge end it while others are under way, it waits for
/// the next turn of the sleeper, and then destroys these. So a call that resumed the one that won
/// continues until its next wait.
///
/// `fn` must support a call while an earlier call of it is under way, and its effect must be
/// repeatable. Hedge is for coroutines only, because blocking calls would need threads.
///
/// Models: a layer of Pipeline.   Thread safety: a plain value.
/// Source: J. Dean, L. Barroso, "The Tail at Scale" (2013); gRFC A6 for what follows a failure;
///         Polly's DelayGenerator, Finagle's BackupRequestFilter, failsafe-go's CancelIf.
template <class Budget = detail::NoBudget, class Delay = detail::HedgeFixedDelay,
          class Choice = detail::HedgeAnySuccess>
class Hedge {
    using Plan = detail::HedgePlan<Budget, Delay, Choice>;

public:
    /// A percentile of the latencies of the last 128 calls, as the delay of any number of Hedges.
    /// Include <belay/call/hedge.hpp> for it:
    ///
    ///     Hedge<>::Percentile p95{95, 50ms};   // 50 ms until 20 latencies are known
    ///     Pipeline pipeline{Hedge{p95, 1}};
    ///
    /// With the 95th percentile, about 5 % of the calls are repeated. All Hedges without a budget
    /// together repeat at most 10 % of the calls, and ten: twice the share that the percentile
    /// leaves. So a peer that is slow for all calls does not get twice the load. A Hedge with a
    /// budget repeats as many as the budget pays for.
    ///
    /// Each Hedge records the time of each call that succeeded. A call that failed, or was
    /// destroyed because another one succeeded, counts with the time until then, if that is above
    /// the percentile. The delay is at least 1 ms. It cannot be copied or moved, and must outlive
    /// the Hedges and their runs.
    ///
    /// Thread safety: any thread.   Blocks: for some hundred instructions of another caller.
    /// Complexity:    O(128) for each call that ends, O(1) for each delay.   Allocates: never.
    using Percentile = detail::HedgePercentile;

    static constexpr bool repeats_calls = true;
    static constexpr bool hedges_calls = true;
    /// The most further calls that there may be.
    static constexpr std::size_t further_max = 7;

    /// Makes a layer without a budget. The delay is a length of time, a callable, or a Percentile,
    /// which must outlive the layer.   Pre: each delay >= 0ns, 1 <= further <= further_max.
    template <class Given>
    constexpr Hedge(Given&& delay, detail::AnyCount<std::size_t> further) noexcept
        requires std::same_as<Budget, detail::NoBudget>
        : Hedge{Plan{Delay{std::forward<Given>(delay)}, further, {}}} {}
    /// Makes a layer with a budget, which must outlive it.   Pre: as above.
    template <class Given>
    constexpr Hedge(Given&& delay, detail::AnyCount<std::size_t> further,
                    Shared<Budget> budget) noexcept
        : Hedge{Plan{Delay{std::forward<Given>(delay)}, further, budget}} {
        static_assert(detail::explain_hedge_budget<Budget>());
    }

    /// Returns the same layer, which only a success ends for which `predicate` returns true.
    ///
    /// The predicate is `bool operator()(const R&) const`, where R is the type that the call
    /// returns.
    template <class Predicate>
    [[nodiscard]] constexpr auto until(Predicate predicate) const {
        static_assert(std::same_as<Choice, detail::HedgeAnySuccess>,
                      "Hedge::until: write one predicate");
        using Chosen = detail::HedgeChosen<Predicate>;
        return Hedge<Budget, Delay, Chosen>{detail::HedgePlan<Budget, Delay, Chosen>{
            plan_.delay, plan_.further, plan_.budget, Chosen{std::move(predicate)},
            plan_.retry_after_max}};
    }
    /// Returns the same layer with another limit for the wait that a peer requests.
    ///
    /// After a longer one, the Hedge ends with the failure, whose `retry_after` is the wait.
    /// Pre: most >= 0ns.
    [[nodiscard]] constexpr Hedge retry_after_max(Duration most) const {
        BELAY_OPTION(most.count() >= 0, "Hedge: retry_after_max must be >= 0ns");
        Hedge other = *this;
        other.plan_.retry_after_max = most;
        return other;
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next&, Context&, const Attempt&) const {
        static_assert(!sizeof(Next),
                      "Hedge: blocking calls cannot be hedged without threads; use a coroutine");
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        detail::HedgeRun<typename Next::Answer, Plan, Context, further_max + 1, Next::retried> run{
            plan_, context, attempt};
        using Sleeper = std::remove_reference_t<decltype(context.sleeper)>;
        std::optional<detail::NextTurn<Sleeper>> next_turn;
#if defined(__cpp_exceptions)
        std::exception_ptr thrown;
        try {
#endif
            std::optional<Task<bool>> timer;
            Instant timer_ends = always;
            for (;;) {
                detail::AnyDone any;
                if (run.collect(any)) break;
                // An exception of a timer that could not wait leaves the loop here.
                if (timer && timer->done()) {
                    static_cast<void>(timer->take());
                    timer.reset();
                }
                if (run.is_due()) {
                    // Here, because the end of the run cannot report that there is no memory.
                    if (run.running() && !next_turn) next_turn.emplace(context.sleeper);
                    run.begin(next);
                    continue;
                }
                if (!run.running() && !run.waits()) break;
                if (!run.waits()) {
                    timer.reset();
                } else {
                    if (!timer || timer_ends != run.next_at()) {
                        timer_ends = run.next_at();
                        timer.emplace(detail::sleeping(context.sleeper, timer_ends, context.stop));
                        timer->start();
                    }
                    any.add(*timer);
                }
                co_await any;
            }
#if defined(__cpp_exceptions)
        } catch (...) {
            thrown = std::current_exception();
        }
#endif
        // The code of a call that is under way may be on the stack: it may have resumed the call
        // that ended the loop. It has returned when the sleeper has its next turn. One call alone
        // resumes no other.
        if (next_turn && run.under_way()) {
            detail::AnyDone any;
            next_turn->request(any);
            co_await any;
        }
#if defined(__cpp_exceptions)
        if (thrown) std::rethrow_exception(std::move(thrown));
#endif
        co_return std::move(run.answer());
    }

private:
    template <class, class, class>
    friend class Hedge;

    constexpr explicit Hedge(const Plan& plan) noexcept : plan_{plan} {
        if constexpr (std::same_as<Delay, detail::HedgeFixedDelay>) {
            BELAY_OPTION(plan.delay.delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        }
        BELAY_OPTION(plan.further >= 1 && plan.further <= further_max,
                     "Hedge: the number of further calls must be in [1, 7]");
    }
    Plan plan_;
};

Hedge(Duration, detail::AnyCount<std::size_t>) -> Hedge<>;
template <class Budget>
Hedge(Duration, detail::AnyCount<std::size_t>, Shared<Budget>) -> Hedge<Budget>;
template <detail::HedgeDelayFunction F>
Hedge(F, detail::AnyCount<std::size_t>) -> Hedge<detail::NoBudget, detail::HedgeDelayOfEach<F>>;
template <detail::HedgeDelayFunction F, class Budget>
Hedge(F, detail::AnyCount<std::size_t>, Shared<Budget>)
    -> Hedge<Budget, detail::HedgeDelayOfEach<F>>;
Hedge(detail::HedgePercentile&, detail::AnyCount<std::size_t>)
    -> Hedge<detail::NoBudget, detail::HedgeRecentDelay>;
template <class Budget>
Hedge(detail::HedgePercentile&, detail::AnyCount<std::size_t>, Shared<Budget>)
    -> Hedge<Budget, detail::HedgeRecentDelay>;

// The forms that Hedge does not have, so that a mistake results in a sentence: the number before
// the delay, a delay alone, and a budget without Shared.
template <class... Types, class Choice>
class Hedge<detail::NoBudget, detail::HedgeMisuse<Types...>, Choice> {
    static_assert(
        !sizeof(Choice),
        "Hedge: pass the delay, then the number of further calls, and a budget as Shared: "
        "Hedge{50ms, 1}, or Hedge{50ms, 1, Shared{budget}}");

public:
    template <class... Given>
    constexpr Hedge(Given&&...) noexcept {}
};
template <std::integral Number, class... Rest>
Hedge(Number, Rest&&...) -> Hedge<detail::NoBudget, detail::HedgeMisuse<Number, Rest...>>;
Hedge(Duration) -> Hedge<detail::NoBudget, detail::HedgeMisuse<Duration>>;
template <class Delay, ShareableLike Object>
Hedge(Delay, detail::AnyCount<std::size_t>, Object&)
    -> Hedge<detail::NoBudget, detail::HedgeMisuse<Delay, Object>>;

namespace detail {

/// A percentile of the latencies of the last calls; Hedge::Percentile.
class HedgePercentile {
public:
    /// The number of latencies that it remembers.
    static constexpr std::size_t calls_max = 128;
    /// The number of latencies from which on it uses them.
    static constexpr std::size_t calls_min = 20;
    /// The shortest delay. Fast calls would otherwise be repeated before they can answer.
    static constexpr Duration least = std::chrono::milliseconds{1};

    /// Makes a percentile whose delay is `at_first` until calls_min latencies are known.
    ///
    /// Pre: 1 <= percent <= 99; at_first > 0ns.
    constexpr HedgePercentile(std::uint32_t percent, Duration at_first) noexcept
        : percent_{percent}, at_first_{at_first}, recent_{Recent{}} {
        BELAY_OPTION(percent >= 1 && percent <= 99,
                     "Hedge::Percentile: percent must be in [1, 99]");
        BELAY_OPTION(at_first.count() > 0, "Hedge::Percentile: at_first must be > 0ns");
    }
    HedgePercentile(const HedgePercentile&) = delete;
    HedgePercentile& operator=(const HedgePercentile&) = delete;

    /// Returns the delay before a further call: the percentile, or `least` if it is shorter.
    [[nodiscard]] constexpr Duration delay() const noexcept {
        return recent_.with([this](const Recent& recent) {
            if (recent.size < calls_min) return at_first_;
            const std::size_t rank = (recent.size * percent_ + 99) / 100;
            const Duration found = recent.sorted[rank - 1];
            return found > least ? found : least;
        });
    }
    /// Records the latency of a call that succeeded. Hedge does it.   Pre: took >= 0ns.
    constexpr void record(Duration took) noexcept {
        recent_.with([took](Recent& recent) { recent.add(took); });
    }
    /// Records a call that failed, or was destroyed, after `took`. It would have taken longer, so
    /// it counts only if it is above the percentile already.
    constexpr void record_more_than(Duration took) noexcept {
        if (took >= delay()) record(took);
    }

    /// Records the first call of a run, which pays for a share of a further call.
    constexpr void note_first_call() noexcept {
        recent_.with([this](Recent& recent) {
            const std::size_t share = 2 * (100 - percent_);
            recent.paid_percent += share;
            if (recent.paid_percent > paid_percent_max) recent.paid_percent = paid_percent_max;
        });
    }
    /// Takes what a further call costs, and returns whether enough was paid.
    [[nodiscard]] constexpr bool take_further_call() noexcept {
        return recent_.with([](Recent& recent) {
            if (recent.paid_percent < 100) return false;
            recent.paid_percent -= 100;
            return true;
        });
    }

private:
    // Ten further calls.
    static constexpr std::size_t paid_percent_max = 1000;

    struct Recent {
        Duration in_order[calls_max]{};
        Duration sorted[calls_max]{};
        std::size_t size = 0;
        std::size_t next = 0;  // the place of the oldest one in in_order, once all are taken
        std::size_t paid_percent = paid_percent_max;  // of a further call

        constexpr void add(Duration took) noexcept {
            if (size == calls_max) remove(in_order[next]);
            in_order[next] = took;
            next = next + 1 == calls_max ? 0 : next + 1;
            std::size_t place = size++;
            for (; place > 0 && sorted[place - 1] > took; --place)
                sorted[place] = sorted[place - 1];
            sorted[place] = took;
        }
        constexpr void remove(Duration took) noexcept {
            std::size_t place = 0;
            while (sorted[place] != took) ++place;
            for (--size; place < size; ++place) sorted[place] = sorted[place + 1];
        }
    };

    const std::size_t percent_;
    const Duration at_first_;
    Guarded<Recent> recent_;
};

/// A delay by the latencies of the last calls.
struct HedgeRecentDelay {
    explicit constexpr HedgeRecentDelay(HedgePercentile& percentile) noexcept
        : recent{&percentile} {}

    HedgePercentile* recent;

    [[nodiscard]] constexpr Duration before(std::size_t) const noexcept { return recent->delay(); }
};

}  // namespace detail

}}  // namespace belay
