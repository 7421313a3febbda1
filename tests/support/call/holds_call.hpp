// SPDX-License-Identifier: MIT
// HoldsCall: a layer of a Pipeline that holds the call of one number for ever.
#pragma once

#include <cstdint>
#include <utility>

#include <belay/call/attempt.hpp>
#include <belay/call/task.hpp>
#include <belay/core/instant.hpp>

namespace belay_test {

template <std::uint64_t number>
struct HoldsCall {
    template <class Next, class Context>
    belay::Task<typename Next::Answer> await(Next next, Context& context,
                                             belay::Attempt attempt) const {
        return hold(next, context, attempt);
    }

private:
    // Static, because the layer itself is a temporary.
    template <class Next, class Context>
    static belay::Task<typename Next::Answer> hold(Next next, Context& context,
                                                   belay::Attempt attempt) {
        if (attempt.number == number) co_await context.sleeper.async_sleep_until(belay::never);
        auto answering = next(attempt);
        co_return co_await std::move(answering);
    }
};

}  // namespace belay_test
