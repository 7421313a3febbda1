// SPDX-License-Identifier: MIT
/// \file belay/call/layers.hpp
/// The layers of a Pipeline: Timeout, Retrying, Fallback, and Queued, which waits for a permit of a
/// limiter.
#pragma once

#include <concepts>      // std::same_as, std::invocable
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::errc
#include <type_traits>   // std::conditional_t, std::is_reference_v, std::remove_cvref_t
#include <utility>       // std::declval, std::forward, std::move

#include <belay/call/answer.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Limits how long the inner layers of a Pipeline may take.
///
/// In a coroutine, the caller continues when the time is over, with std::errc::timed_out. The inner
/// layers are destroyed during their call, so what `fn` awaits must make this safe.
///
/// A blocking call cannot be interrupted. There, a Timeout only sets the deadline in the
/// Attempt. Your `fn` must take the Attempt, so that it can pass the deadline to its sockets. A
/// Retrying inside begins no attempt after the deadline. An answer that comes too late
/// still counts as an answer, except with fails_if(fn, Attempt::late), whose `fn` need not take
/// an Attempt.
///
///     Pipeline{Timeout{2s}, Retrying{policy}}                    // 2 s from the call on
///     Pipeline{Timeout::until(request_deadline), Retrying{policy}}
///
/// A late answer, and a call that a Timeout destroys, count against the peer only if it had at
/// least half of the limit; see counts_after. Otherwise a breaker gets its permit back, its
/// count of failures stays, and a retry stays paid for. Inside a Queued, and for the probe of a
/// half-open breaker, it must have had 15/16 of the limit. No wait of an inner layer begins that
/// would leave less than half: a queue, a breaker, a backoff or the delay of a Hedge. The call then
/// ends at once.
///
/// The earliest of nested deadlines counts, and half of the shortest limit. If the time is over
/// before `fn` was called at all, for example in a queue, that is a rejection. It is no verdict
/// on the peer, and the pipeline's observer is notified.
///
/// Models:        a layer of Pipeline.
/// Thread safety: a plain value.
class Timeout {
public:
    static constexpr std::string_view name = "Timeout";
    static constexpr bool limits_time = true;

    /// Pre: limit > 0ns.
    constexpr explicit Timeout(detail::AnyUnit limit) noexcept : limit_{limit} {
        BELAY_PRECONDITION(
            limit_.count() > 0,
            "Timeout: the limit must be > 0ns; for a deadline, which may have passed, use "
            "Timeout::until");
    }

    /// Does not compile, because an instant is not a length of time.
    template <std::same_as<Instant> End>
    constexpr explicit Timeout(End) noexcept : Timeout{Duration{1}} {
        static_assert(!sizeof(End), "Timeout: for an instant write Timeout::until(instant)");
    }

    /// Makes a layer for calls that must end by an instant, such as the deadline of a request.
    ///
    /// The instant is one of the sleeper's clock, and may have passed. From then on, calls are
    /// rejected with std::errc::timed_out; `never` means no limit. Put it around a Retrying, which
    /// then ends. Inside of one, each further attempt is rejected.
    [[nodiscard]] static constexpr Timeout until(Instant end) noexcept {
        return Timeout{forever, end};
    }

    /// Returns the same layer with another time that a peer must have had, for a late answer to
    /// count against it. The default is half of the limit.   Pre: least >= 0ns.
    [[nodiscard]] constexpr Timeout counts_after(detail::AnyUnit least) const noexcept {
        BELAY_PRECONDITION(Duration{least}.count() >= 0, "Timeout: counts_after must be >= 0ns");
        Timeout other = *this;
        other.least_ = least;
        return other;
    }
    /// Returns the limit of a call that begins now, and that time.
    [[nodiscard]] constexpr detail::TimeLimit time_limit(Instant now) const noexcept {
        const Duration limit =
            detail::smaller(limit_, end_ == never ? forever : elapsed(now, end_));
        return {limit, least_ != forever ? least_ : limit / 2};
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        const Instant now = context.sleeper.now();
        if (now >= end_) return late<typename Next::Answer>(context, attempt, now);
        return next(bounded(attempt, now));
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const;

private:
    constexpr Timeout(Duration limit, Instant end) noexcept : limit_{limit}, end_{end} {}

    template <class Answer, class Context>
    [[nodiscard]] static Answer late(Context& context, const Attempt& attempt, Instant now) {
        Advice advice = Advice::suspend(now);
        advice.by = name;
        context.rejected(attempt, advice);
        return Answer::reject(std::make_error_code(std::errc::timed_out), Duration{});
    }
    [[nodiscard]] Attempt bounded(Attempt attempt, Instant now) const noexcept {
        const Instant end = detail::smaller(after(now, limit_), end_);
        if (end < attempt.deadline) attempt.deadline = end;
        return attempt;
    }

    Duration limit_;
    Instant end_ = never;
    Duration least_ = forever;  // forever: half of the limit
};

namespace detail {

/// Gives a call its observer: the object of the caller, or a copy of the stored one.
template <class O>
struct ObserverOfCalls {
    O observer;
    [[nodiscard]] constexpr O get() const { return observer; }
};
template <class O>
struct ObserverOfCalls<O&> {
    constexpr explicit ObserverOfCalls(O& object) noexcept : observer{&object} {}
    O* observer;
    [[nodiscard]] constexpr O& get() const noexcept { return *observer; }
};

/// The inner layers, which a retry calls.
template <class Next>
struct LayeredCall {
    using Answer = typename Next::Answer;

    const Next& next;

    // An answer that worked stays where it is.
    struct Worked {
        Answer answer;
        [[nodiscard]] explicit operator bool() const noexcept { return answer.worked(); }
    };
    template <class Core>
    [[nodiscard]] Worked attempt(Core& core) const {
        Worked worked{next(core.attempt())};
        if (!worked) {
            const Failure failure = *worked.answer.failure;
            core.keep(std::move(worked.answer));
            core.failed(failure);
        }
        return worked;
    }
    [[nodiscard]] static Answer result_of(Worked&& worked) { return std::move(worked.answer); }
    [[nodiscard]] static Answer finish(Answer& answer) { return std::move(answer); }
};

}  // namespace detail

/// Repeats the inner layers of a Pipeline as its policy advises; each call runs a copy of the
/// policy.
///
/// An AttemptTimeout in the policy is a Timeout around each attempt that is not the last one.
///
/// The observer, if there is one, is that of `retry`. An lvalue, or one in a std::ref, must outlive
/// the pipeline. A temporary one is stored, and must be copyable: each call notifies a copy of it.
///
/// Models:        a layer of Pipeline.
/// Thread safety: that of the policy's copy; the observer is called on the thread of each call.
template <class P, class Observer = const NoObserver&>
class Retrying {
    // Not a constraint, because the compiler's message for a failed one would hide the sentence.
    static_assert(explain::rule_like<P>());

public:
    static constexpr bool repeats_calls = true;
    static constexpr bool retries_calls = true;
    static constexpr bool limits_time = detail::limits_attempts<P>;

    constexpr explicit Retrying(P policy) : policy_{std::move(policy)}, observer_{detail::nobody} {}
    constexpr Retrying(P policy, std::type_identity_t<Observer>&& observer)
        : policy_{std::move(policy)}, observer_{std::forward<Observer>(observer)} {
        static_assert(detail::explain_observer<detail::RetryRunHooks, Observer>());
    }

    /// Returns how many rules of the policy refer to the object of `shared`, a Shared.
    template <class S>
    [[nodiscard]] constexpr std::size_t places_of(const S& shared) const noexcept {
        return detail::places_of(shared, policy_);
    }

    /// Returns the AttemptTimeout of the policy, and half of it.
    [[nodiscard]] constexpr detail::TimeLimit time_limit(Instant) const noexcept {
        const Duration limit = detail::limit_wish(policy_);  // negative if there is none
        return limit.count() < 0 ? detail::TimeLimit{} : detail::TimeLimit{limit, limit / 2};
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& around) const {
        auto&& observer = observer_.get();
        return detail::run_retry(policy_, context.sleeper, detail::LayeredCall<Next>{next},
                                 context.stop, observer,
                                 detail::AroundRetry<detail::MadeByLayers>{around, {&context}});
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt around) const;

private:
    P policy_;
    [[no_unique_address]] detail::ObserverOfCalls<Observer> observer_;
};

template <class P, class O>
Retrying(P, O&&)
    -> Retrying<P, std::conditional_t<std::is_lvalue_reference_v<O> || detail::Reference<O>,
                                      detail::Unwrapped<O>&, O>>;

namespace detail {
struct EveryFailure {
    [[nodiscard]] constexpr bool operator()(const Failure&) const noexcept { return true; }
};
template <class P>
concept ChoosesFailures = requires(const P& chooses, const Failure& why) {
    { chooses(why) } -> std::same_as<bool>;
};
}  // namespace detail

/// Answers in place of the inner layers of a Pipeline when they fail, reject or throw.
///
///     Fallback{[](const Failure& why) { return cached_scene(); }}
///     Fallback{[] { return cached_scene(); }, Cause::timed_out, Cause::overloaded}
///     Fallback{[] { return Scene{}; }, [](const Failure& why) { return why.code == 404; }}
///
/// With causes, or with a predicate on the Failure, it answers only for such failures; others stay
/// as they are. A call that a layer rejected is `overloaded`, or `timed_out` if that is the reason,
/// and its code is CallErrc::call_rejected. A call that a stop ended is `planned`.
///
/// `fn` takes the Failure or nothing. It returns what the call returns, or a value that converts to
/// that or to the value in it. For a call without a value, it may return anything. In a coroutine
/// it may return an awaitable of the same. Both `fn` and the predicate are called as const, and
/// their exceptions leave the pipeline. The answer counts as a success, except for false, an empty
/// optional and errors. So write the Fallback first in a Pipeline.
///
/// Models:        a layer of Pipeline.
/// Thread safety: that of `fn` and the predicate.
template <class F, class Chosen = detail::EveryFailure>
class Fallback {
    static_assert(
        detail::ChoosesFailures<Chosen>,
        "Fallback: the filter must be causes, or a 'bool operator()(const belay::Failure&) const'");

public:
    static constexpr bool hides_failures = true;

    constexpr explicit Fallback(F fn, Chosen chosen = {})
        : fn_{std::move(fn)}, chosen_{std::move(chosen)} {
        static_assert(
            std::invocable<const F&, const Failure&> || std::invocable<const F&>,
            "Fallback: fn must be callable as const, with a belay::Failure or without arguments");
    }
    constexpr Fallback(F fn, Cause first, std::same_as<Cause> auto... more)
        requires std::same_as<Chosen, detail::CauseSet>
        : Fallback{std::move(fn), detail::CauseSet{first, more...}} {}

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        typename Next::Answer answer = next(attempt);
        if (answer.worked()) return answer;
        const Failure why = failure_of(answer, context.sleeper.now());
        if (!chosen_(why)) return answer;
        return replacement<typename Next::Answer>(why);
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const;

private:
    template <class Answer>
    static constexpr bool has_no_value = std::same_as<Answer, part::Answer<detail::VoidOutcome>>;

    // As its caller would see it: with the waits of limits inside of this layer.
    template <class Answer>
    [[nodiscard]] static Failure failure_of(const Answer& answer, Instant now) noexcept {
        Failure failure = *answer.failure;
        failure.retry_after =
            detail::larger(failure.retry_after, elapsed(now, answer.rejects_until));
        return failure;
    }

    /// Returns the answer in place of that of the inner layers.
    template <class Answer>
    [[nodiscard]] Answer replacement(const Failure& why) const {
        if constexpr (has_no_value<Answer>) {
            static_cast<void>(ask(why));
            return Answer::success();
        } else {
            static_assert(
                !std::is_void_v<decltype(ask(why))>,
                "Fallback: fn must return a value, because it replaces a call that returns one");
            return detail::answer_instead<Answer>(ask(why));
        }
    }
    decltype(auto) ask(const Failure& failure) const {
        if constexpr (std::invocable<const F&, const Failure&>) {
            return fn_(failure);
        } else {
            return fn_();
        }
    }

    [[no_unique_address]] F fn_;
    [[no_unique_address]] Chosen chosen_;
};

template <class F, std::same_as<Cause>... More>
Fallback(F, Cause, More...) -> Fallback<F, detail::CauseSet>;

/// Takes a permit of a bulkhead or limiter for each call, and waits in its queue if there is none.
///
/// If the queue is full, the call is rejected.
///
///     Queued{bulkhead}
///     Queued{limiter}
///     Queued{limiter, 20}   // 20 permits for each call, all at once
///
/// Callers are served in the order in which they arrive, and none overtakes another. A waiting
/// caller is woken when it is its turn, whether it blocks or is a coroutine. A stop, a deadline and
/// the end of a coroutine end the wait, and the callers after it move up. A stop from a StopToken
/// takes effect at once; any other token is checked every 10 ms.
///
/// A call gets a permit only if at least half of its limit is left, see Timeout::counts_after, and
/// at least the time that recent calls of this object took. The wait ends when less would be left.
/// If that is before the caller's turn, as the queue stands, it ends at its beginning. For a
/// bulkhead, the turn is not known in advance. So use an object of its own for calls that take much
/// longer than others. A request for more permits than the limiter's burst ends in
/// std::errc::invalid_argument.
///
/// The object to which it refers must outlive it.
///
/// Models:        a layer of Pipeline.
/// Thread safety: distinct objects safe.
template <class Object>
class Queued {
public:
    static constexpr bool holds_permit = true;

private:
    static constexpr bool is_limiter = std::same_as<Object, RateLimiter>;
    static_assert(is_limiter || std::same_as<Object, Bulkhead>,
                  "Queued: the object must be a Bulkhead or a RateLimiter");

public:
    /// Pre: the object has a queue: its `queue` is > 0.
    constexpr explicit Queued(Object& object) noexcept : object_{&object} {
        BELAY_OPTION(object.queue_ > 0, queue_needed);
    }
    /// Pre: permits >= 1; the object has a queue.
    constexpr Queued(Object& object, detail::AnyCount<std::uint64_t> permits) noexcept
        : object_{&object}, permits_{permits} {
        static_assert(is_limiter,
                      "Queued: a call takes one permit of a Bulkhead: Queued{bulkhead}. Only a "
                      "RateLimiter gives several");
        BELAY_OPTION(permits_ >= 1, "Queued: the permits of each call must be >= 1");
        BELAY_OPTION(object.queue_ > 0, queue_needed);
    }

    /// Does not compile, because a temporary would be destroyed at once.
    constexpr explicit Queued(Object&& object) noexcept : Queued{object} {
        static_assert(!sizeof(Object),
                      "Queued: the bulkhead or limiter must be a variable that outlives it, and "
                      "not a temporary");
    }

    /// Returns 1 if both wait for the same object, else 0.
    [[nodiscard]] constexpr std::size_t places_of(const Queued& other) const noexcept {
        return object_ == other.object_ ? 1 : 0;
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        Wait<typename Next::Answer, Context> wait{*this, context, attempt};
        while (wait.goes_on()) context.sleeper.sleep_until(wait.until(), wait.token());
        if (!wait.permit) return std::move(*wait.rejection);
        typename Next::Answer answer = next(attempt);
        wait.end(answer);
        return answer;
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const;

private:
    using Waiter = typename Object::Waiter;
    using Permit = typename Object::Permit;
    using WaitState = detail::WaitAnswer::WaitState;

    static constexpr const char* queue_needed =
        "Queued: the bulkhead or limiter must have a queue > 0; without a queue write "
        "Shared{object}";
    // One caller's way through the queue. Afterwards there is a permit or a rejection. It also
    // measures the call. Without an answer, the deadline has ended that.
    template <class Answer, class Context>
    class Wait {
    public:
        Wait(const Queued& queued, Context& context, const Attempt& attempt) noexcept
            : object_{*queued.object_},
              context_{context},
              attempt_{attempt},
              waiter_{object_, queued.permits_} {
            context_.is_queued = true;
        }
        ~Wait() { note_late(); }

        // Whether to sleep until `until`, or until a stop of `token`, and then ask again.
        [[nodiscard]] bool goes_on() {
            // First, so that no stop and no call that comes from now on is lost.
            waiter_.wake().rearm();
            if (stop_ && context_.stop.stop_requested()) {
                rejection.emplace(Answer::reject(CallErrc::stopped, Duration{}));
                return false;
            }
            const Instant now = context_.sleeper.now();
            const Instant latest =
                context_.latest(attempt_.deadline, object_.answer_time_.recent());
            const detail::WaitAnswer answer = waiter_.ask(now, permit);
            switch (answer.state) {
                case WaitState::granted:
                    // The place is for a call that has enough time.
                    if (now <= latest && now < attempt_.deadline) {
                        asked_ = context_.asked;
                        began_ = now;
                        return false;
                    }
                    permit = {};
                    return reject(Advice::suspend(now), std::make_error_code(std::errc::timed_out),
                                  {});
                case WaitState::rejected:
                    return reject(Advice::suspend(answer.wake_at), CallErrc::call_rejected,
                                  elapsed(now, answer.wake_at));
                case WaitState::hopeless:
                    return reject(Advice::stop(), std::make_error_code(std::errc::invalid_argument),
                                  {});
                case WaitState::waits:
                case WaitState::first:
                    break;
            }
            if (answer.earliest > latest || now >= latest) {
                return reject(Advice::suspend(answer.earliest > now ? answer.earliest : now),
                              std::make_error_code(std::errc::timed_out),
                              elapsed(now, answer.earliest));
            }
            if (!stop_) stop_.emplace(context_.stop, waiter_.wake());
            token_ = waiter_.wake().token();
            until_ = Stop::slice(now, detail::smaller(answer.wake_at, latest));
            return true;
        }
        // Learns from the end of the call how long calls take.
        template <class Result>
        void end(const Result& answer) noexcept {
            if (answer.worked() && attempt_.deadline != never) {
                object_.answer_time_.answered(elapsed(began_, context_.sleeper.now()));
            } else if (!answer.worked() && answer.failure->cause == Cause::timed_out) {
                note_late();
            }
            began_ = never;
        }
        [[nodiscard]] Instant until() const noexcept { return until_; }
        [[nodiscard]] const StopToken& token() const noexcept { return token_; }

        Permit permit{};
        std::optional<Answer> rejection{};

    private:
        using Stop = detail::WaitStop<std::remove_cvref_t<decltype(std::declval<Context&>().stop)>>;

        void note_late() noexcept {
            if (began_ == never || context_.asked == asked_) return;
            if (context_.sleeper.now() < attempt_.deadline) return;
            object_.answer_time_.cut_short(elapsed(began_, attempt_.deadline));
        }
        [[nodiscard]] bool reject(Advice advice, const std::error_code& why, Duration wait) {
            advice.by = Object::name;
            context_.rejected(attempt_, advice);
            rejection.emplace(Answer::reject(why, wait));
            return false;
        }

        Object& object_;
        Context& context_;
        const Attempt attempt_;
        std::uint64_t asked_ = 0;  // the calls before this one
        Instant began_ = never;    // while the call is under way
        // The order matters: the members that could wake the waiter, and its tokens, are destroyed
        // before it.
        Waiter waiter_;
        std::optional<Stop> stop_{};
        StopToken token_{};
        Instant until_ = always;
    };

    Object* object_;
    std::uint64_t permits_ = 1;
};

template <class Object>
Queued(Object&) -> Queued<Object>;
template <class Object>
    requires(!std::is_reference_v<Object>)
Queued(Object&&) -> Queued<Object>;
template <class Object>
Queued(Object&, detail::AnyCount<std::uint64_t>) -> Queued<Object>;

}}  // namespace belay
