// SPDX-License-Identifier: MIT
/// \file belay/call/timeout.hpp
/// Timeout: limits how long a call may take; a layer of a Pipeline.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::errc
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/order.hpp>
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
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        using Answer = typename Next::Answer;
        const Instant now = context.sleeper.now();
        if (now >= end_) co_return late<Answer>(context, attempt, now);
        const Attempt inner = bounded(attempt, now);
        const auto asked = context.asked;
        auto work = next(inner);
        work.start();
        if (!work.done()) {
            auto timer = detail::sleeping(context.sleeper, inner.deadline);
            timer.start();
            detail::AnyDone any;
            any.add(work);
            any.add(timer);
            co_await any;
            // A timer that could not wait throws here; the time is then not over.
            if (!work.done()) static_cast<void>(timer.take());
        }
        if (work.done()) co_return work.take();
        if (context.asked != asked) {
            co_return Answer::none(std::make_error_code(std::errc::timed_out),
                                   context.cut(inner.deadline));
        }
        // A caller that waited in a queue for all that time has called no peer.
        co_return late<Answer>(context, inner, inner.deadline);
    }

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

}}  // namespace belay
