// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/exchange_wait.hpp
/// wait_for_exchange and wait_in_loop: run a loop until an answer or a connection is there.
#pragma once

#include <chrono>   // std::chrono::seconds
#include <utility>  // std::move

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Runs a loop until `done()`, for at most `limit`.
///
/// Returns: whether `done()` is true. It is false if the loop was stopped; then it is stopped again
///          for its next run, because the stop was not for this one.
template <class Loop, class Done>
[[nodiscard]] bool wait_in_loop(Loop& loop, Duration limit, Done done) {
    const Instant end = after(loop.now(), limit);
    if (loop.run_until(done, limit)) return true;
    if constexpr (requires { loop.stop(); }) {
        if (loop.now() < end) loop.stop();
    }
    return false;
}
/// Does so for a question, which has a deadline of its own, after `within`.
template <class Loop, class Done>
[[nodiscard]] bool wait_for_exchange(Loop& loop, Duration within, Done done) {
    // More than the deadline needs: a loop that does not run the question must not wait for ever.
    return wait_in_loop(
        loop, part::saturating_add(larger(within, Duration::zero()), std::chrono::seconds{5}),
        std::move(done));
}

}}}  // namespace belay::detail
