// SPDX-License-Identifier: MIT
// expect-error: retry: fn must return bool, optional, error_code, .* say with fails_if, or by specialising
#include <system_error>
#include <tuple>

#include <belay/call/fails_if.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// As asio's as_tuple: each failure would be a success.
std::tuple<std::error_code, int> receive() {
    return {std::make_error_code(std::errc::io_error), 0};
}

void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const auto failed = [](const auto& answer) { return static_cast<bool>(std::get<0>(answer)); };
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(receive, failed)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, receive));
#endif
}
