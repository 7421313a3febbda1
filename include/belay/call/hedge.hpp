// SPDX-License-Identifier: MIT
/// \file belay/call/hedge.hpp
/// Hedge: a second call where the first is slow; a layer of a Pipeline.
#pragma once

#include <cstddef>   // std::size_t
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/call/answer.hpp>
#include <belay/call/detail/awaited_call.hpp>

namespace belay::inline BELAY_ABI {

/// Makes further calls of what is inside while the earlier ones have not answered; the first
/// success counts, and the others are destroyed in the middle of their calls.
///
///     Hedge{50ms, 2}      // a second call after 50 ms, a third after 100 ms
///
/// After a failure the next call begins at once. If all fail, the last failure counts. Further
/// calls know from their Attempt that they are retries. `fn` must take being called while an
/// earlier call of it is under way, and its effect must bear repetition.
///
/// For coroutines only: blocking calls would need threads.
///
/// Thread safety: a plain value.
/// Source: J. Dean, L. Barroso, "The Tail at Scale" (2013); gRFC A6 for what follows a failure.
class Hedge {
public:
    static constexpr bool repeats_calls = true;
    /// How many further calls there may be.
    static constexpr std::size_t further_max = 7;

    /// Pre: delay >= 0ns, 1 <= further <= further_max.
    constexpr Hedge(Duration delay, std::size_t further) noexcept
        : delay_{delay}, further_{further} {
        BELAY_PRECONDITION(delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        BELAY_PRECONDITION(further >= 1 && further <= further_max,
                           "Hedge: there must be 1 to 7 further calls");
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next&, Context&, const Attempt&) const {
        static_assert(!sizeof(Next), "Hedge: only for coroutines, blocking calls need threads");
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        using Answer = typename Next::Answer;
        std::optional<Task<Answer>> calls[further_max + 1];
        std::optional<Task<bool>> timer;
        std::optional<Answer> last;
        std::size_t begun = 0;
        bool due = true;
        // What a timer that could not wait throws leaves here.
        const auto expired = [&timer] {
            if (!timer || !timer->done()) return false;
            static_cast<void>(timer->take());
            timer.reset();
            return true;
        };
        for (;;) {
            detail::AnyDone any;
            bool running = false;
            for (auto& call : calls) {
                if (!call) continue;
                if (!call->done()) {
                    any.add(*call);
                    running = true;
                    continue;
                }
                Answer answer = call->take();
                if (answer.worked()) co_return answer;
                // A refusal does not make unsaid what the peer has answered.
                if (!last || !answer.refused || last->refused) last.emplace(std::move(answer));
                call.reset();
                due = true;
            }
            if (due && may_begin(begun, context)) {
                attempt.repeats = attempt.repeats || begun > 0;
                calls[begun].emplace(next(attempt));
                calls[begun++]->start();
                timer.reset();
                if (may_begin(begun, context)) {
                    timer.emplace(
                        detail::sleeping(context.sleeper, after(context.sleeper.now(), delay_)));
                    timer->start();
                }
                due = expired();
                continue;
            }
            if (!running) co_return std::move(*last);
            if (timer) any.add(*timer);
            co_await any;
            due = expired();
        }
    }

private:
    template <class Context>
    [[nodiscard]] bool may_begin(std::size_t begun, const Context& context) const noexcept {
        return begun == 0 || (begun <= further_ && !context.stop.stop_requested());
    }

    Duration delay_;
    std::size_t further_;
};

}  // namespace belay::inline BELAY_ABI
