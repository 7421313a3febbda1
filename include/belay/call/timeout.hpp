// SPDX-License-Identifier: MIT
/// \file belay/call/timeout.hpp
/// Timeout: how long a call may take; a layer of a Pipeline.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::errc
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Gives what is inside so much time.
///
/// In a coroutine the caller goes on when the time is over, with std::errc::timed_out, and what is
/// inside is destroyed in the middle of its call: what `fn` awaits must be such that this is safe.
///
/// A blocking call cannot be interrupted: there a Timeout only sets the deadline in the Attempt,
/// which `fn` can read and hand to its sockets, and after which a Retrying inside begins no
/// attempt. An answer that comes too late is an answer nevertheless.
///
/// Of nested deadlines the earliest counts. Where the time is over before `fn` was called at all,
/// say in a line, that is a refusal: no verdict on the peer, and told to the pipeline's observer.
///
/// Thread safety: a plain value.
class Timeout {
public:
    static constexpr std::string_view name = "Timeout";

    /// Pre: limit > 0ns.
    constexpr explicit Timeout(Duration limit) noexcept : limit_{limit} {
        BELAY_PRECONDITION(limit.count() > 0, "Timeout: the limit must be > 0ns");
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        return next(bounded(attempt, context.sleeper.now()));
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        using Answer = typename Next::Answer;
        const Attempt inner = bounded(attempt, context.sleeper.now());
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
            // A timer that could not wait throws here: the time is not over then.
            if (!work.done()) static_cast<void>(timer.take());
        }
        if (work.done()) co_return work.take();
        const std::error_code why = std::make_error_code(std::errc::timed_out);
        if (context.asked != asked) co_return Answer::none(why, Failure::from(why));
        // Who has waited in line for all that time has asked nobody.
        Advice advice = Advice::suspend(inner.deadline);
        advice.by = name;
        context.refused(inner, advice);
        co_return Answer::refuse(why, Duration{});
    }

private:
    [[nodiscard]] Attempt bounded(Attempt attempt, Instant now) const noexcept {
        const Instant end = after(now, limit_);
        if (end < attempt.deadline) attempt.deadline = end;
        return attempt;
    }

    Duration limit_;
};

}}  // namespace belay
