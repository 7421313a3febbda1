// SPDX-License-Identifier: MIT
// expect-error: deleted .*operator
#include "support/no_plain_arithmetic.hpp"

namespace belay {

template <class T>
Instant due(const T& /*unused*/, Instant now) {
#ifdef BELAY_CONTROL
    return after(now, Duration{1});
#else
    return now + Duration{1};
#endif
}

}  // namespace belay
