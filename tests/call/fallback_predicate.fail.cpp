// SPDX-License-Identifier: MIT
// expect-error: Fallback: what chooses failures must be causes
#include <belay/call/fallback.hpp>

#if defined(BELAY_CONTROL)
constexpr auto chooses = [](const belay::Failure& why) { return why.code == 404; };
#else
constexpr auto chooses = [](int status) { return status == 404; };
#endif

const belay::Fallback fallback{[] { return 0; }, chooses};
