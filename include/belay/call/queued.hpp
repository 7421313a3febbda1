// SPDX-License-Identifier: MIT
/// \file belay/call/queued.hpp
/// Queued: waiting for a place behind a Bulkhead; a layer of a Pipeline.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/call/answer.hpp>
#include <belay/call/bulkhead.hpp>
#include <belay/call/detail/awaited_call.hpp>

namespace belay::inline BELAY_ABI {

/// Each call needs one of the bulkhead's permits; without one it waits in the bulkhead's queue, by
/// asking again, and is refused if that is full.
///
/// Not fair: who asks at the right moment comes first. A stop and a deadline end the wait.
///
/// The bulkhead must outlive it.   Thread safety: distinct objects safe.
class Queued {
public:
    constexpr explicit Queued(Bulkhead& bulkhead) noexcept : bulkhead_{&bulkhead} {}

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        Wait<typename Next::Answer> wait{*bulkhead_};
        while (wait.goes_on(context, attempt)) {
            context.sleeper.sleep_until(wait.until, context.stop);
        }
        return wait.permit ? next(attempt) : std::move(*wait.refusal);
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        Wait<typename Next::Answer> wait{*bulkhead_};
        while (wait.goes_on(context, attempt)) {
            decltype(auto) sleep = context.sleeper.async_sleep_until(wait.until, context.stop);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
        if (!wait.permit) co_return std::move(*wait.refusal);
        auto answering = next(attempt);
        co_return co_await std::move(answering);
    }

private:
    template <class Answer>
    struct Wait {
        explicit Wait(Bulkhead& b) noexcept : bulkhead{b} {}

        // Whether to sleep until `until` and ask again; otherwise there is a permit or a refusal.
        template <class Context>
        bool goes_on(Context& context, const Attempt& attempt) {
            Turn turn = context.turn();
            if (waits && context.stop.stop_requested()) {
                refusal.emplace(Answer::refuse(CallErrc::stopped, Duration{}));
                return false;
            }
            permit = bulkhead.acquire(turn);
            if (permit) {
                place.leave();
                return false;
            }
            if (!std::exchange(waits, true)) place = bulkhead.line_up();
            until = permit.retry_at();
            if (!place) {
                context.refused(attempt, refusing());
                refusal.emplace(Answer::refuse(CallErrc::call_refused, elapsed(turn.now, until)));
            } else if (until > attempt.deadline) {
                context.refused(attempt, refusing());
                refusal.emplace(
                    Answer::refuse(std::make_error_code(std::errc::timed_out), Duration{}));
            }
            return !refusal;
        }

        [[nodiscard]] Advice refusing() const noexcept {
            return {Verb::suspend, until, Bulkhead::name};
        }

        Bulkhead& bulkhead;
        Bulkhead::Place place;
        bool waits = false;
        Bulkhead::Permit permit;
        Instant until = always;
        std::optional<Answer> refusal;
    };

    Bulkhead* bulkhead_;
};

}  // namespace belay::inline BELAY_ABI
