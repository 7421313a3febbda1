// SPDX-License-Identifier: MIT
// expect-error: JitterLike: J::reset must be 'void reset
#include <belay/backoff/backoff.hpp>

struct Alternating {
    bool low = false;
    belay::WaitRange range(const belay::NominalWait& nominal) const noexcept {
        return {nominal.wait, nominal.wait};
    }
#if defined(BELAY_CONTROL)
    void reset() noexcept { low = false; }
#else
    void reset(bool to) noexcept { low = to; }
#endif
};

belay::Backoff backoff{Alternating{}, belay::Cap{std::chrono::seconds{30}},
                       std::chrono::seconds{1}};
