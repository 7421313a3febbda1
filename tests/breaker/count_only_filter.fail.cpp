// SPDX-License-Identifier: MIT
// expect-error: CountOnly: the filter must be causes, or a copyable
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/count_only.hpp>

#if defined(BELAY_CONTROL)
constexpr auto filter = [](const belay::Failure& why) noexcept { return why.code != 404; };
#else
constexpr auto filter = [](int status) noexcept { return status != 404; };
#endif

belay::Breaker breaker{belay::CountOnly{belay::ConsecutiveFailures{5}, filter},
                       belay::OpenFor{belay::Duration{1}}};
