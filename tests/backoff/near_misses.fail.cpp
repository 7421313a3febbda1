// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>

// expect-error: CapLike: C::least must be
namespace cap_floor_in_seconds {
#if defined(BELAY_CONTROL)
using Floor = belay::Duration;
#else
using Floor = std::chrono::seconds;
#endif

struct Limit {
    constexpr belay::Duration limit(belay::Duration wait) const noexcept { return wait; }
    constexpr Floor least() const noexcept { return Floor{0}; }
};

belay::Backoff backoff{belay::FullJitter{}, Limit{}, belay::Duration{1}};
}  // namespace cap_floor_in_seconds

// expect-error: Floor: the cap already has a floor; remove one of the two
namespace floor_around_floor {
constexpr belay::Floor inner{belay::Duration{2}, belay::Cap{belay::Duration{9}}};

#if defined(BELAY_CONTROL)
constexpr auto both = inner;
#else
constexpr belay::Floor<belay::Floor<belay::Cap>> both{belay::Duration{1}, inner};
#endif
}  // namespace floor_around_floor

// expect-error: Backoff: this jitter grows by itself; give it a base and no growth
namespace growth_beside_growing_jitter {
#if defined(BELAY_CONTROL)
using Growth = belay::Constant;
#else
using Growth = belay::Exponential<>;
#endif

belay::Backoff backoff{belay::DecorrelatedJitter{}, belay::Cap{belay::forever},
                       Growth{belay::Duration{1}}};
}  // namespace growth_beside_growing_jitter

// expect-error: GrowthLike: G must be noexcept
namespace growth_that_throws {
#if defined(BELAY_CONTROL)
constexpr auto growth = [](std::uint64_t) noexcept { return belay::Duration{1}; };
#else
constexpr auto growth = [](std::uint64_t) { return belay::Duration{1}; };
#endif

belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::forever}, growth};
}  // namespace growth_that_throws

// expect-error: JitterLike: J::reset must be 'void reset
namespace jitter_reset {
struct Alternating {
    bool low = false;
    belay::part::WaitRange range(const belay::part::NominalWait& nominal) const noexcept {
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
}  // namespace jitter_reset

// expect-error: JitterLike: J::range must be noexcept
namespace jitter_that_throws {
struct Jitter {
#if defined(BELAY_CONTROL)
    belay::part::WaitRange range(const belay::part::NominalWait& n) const noexcept {
        return {n.wait, n.wait};
    }
#else
    belay::part::WaitRange range(const belay::part::NominalWait& n) const {
        return {n.wait, n.wait};
    }
#endif
};

belay::Backoff backoff{Jitter{}, belay::Cap{belay::forever}, belay::Duration{1}};
}  // namespace jitter_that_throws

// expect-error: Backoff: this jitter grows by itself; bound it with Cap
namespace soft_cap_on_growing_jitter {
#if defined(BELAY_CONTROL)
using Limit = belay::Cap;
#else
using Limit = belay::PreJitterCap;
#endif

belay::Backoff backoff{belay::SmoothJitter{}, Limit{belay::forever}, belay::Duration{1}};
}  // namespace soft_cap_on_growing_jitter

// expect-error: Backoff: after the jitter pass a cap, and then a base or a growth
namespace backoff_without_base {
using namespace std::chrono_literals;
#if defined(BELAY_CONTROL)
belay::Backoff backoff{belay::FullJitter{}, belay::NoCap{}, 1s};
#else
belay::Backoff backoff{belay::FullJitter{}, 1s};
#endif
}  // namespace backoff_without_base

// expect-error: Backoff: pass the cap before the base
namespace backoff_base_before_cap {
using namespace std::chrono_literals;
#if defined(BELAY_CONTROL)
belay::Backoff backoff{belay::FullJitter{}, belay::Cap{30s}, 1s};
#else
belay::Backoff backoff{belay::FullJitter{}, 1s, belay::Cap{30s}};
#endif
}  // namespace backoff_base_before_cap

// expect-error: JitterLike: J::reset must be 'void reset.. noexcept'
namespace jitter_hook_private {
// It would never be called, and the jitter would continue where the last outage ended.
class Jitter {
#if defined(BELAY_CONTROL)
public:
#endif
    void reset() noexcept {}

public:
    belay::part::WaitRange range(const belay::part::NominalWait& nominal) const noexcept {
        return {nominal.wait, nominal.wait};
    }
};
belay::Backoff backoff{Jitter{}, belay::Cap{belay::Duration{2}}, belay::Duration{1}};
}  // namespace jitter_hook_private

// expect-error: Cap: write the unit of the limit: Cap.30s.
namespace cap_without_unit {
#if defined(BELAY_CONTROL)
belay::Cap cap{std::chrono::seconds{30}};
#else
belay::Cap cap{30};
#endif
}  // namespace cap_without_unit

// expect-error: the_cap_of_a_backoff_must_not_be_below_its_base|must be initialized by a constant expression
namespace constant_cap_below_base {
using namespace std::chrono_literals;
#if defined(BELAY_CONTROL)
constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{2s}, 1s};
#else
constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{1s}, 2s};
#endif
}  // namespace constant_cap_below_base

// expect-error: Backoff: pass the jitter first, then the cap, then the base
namespace backoff_with_the_cap_first {
constexpr belay::Cap cap{belay::Duration{9}};
#if defined(BELAY_CONTROL)
belay::Backoff backoff{belay::FullJitter{}, cap, belay::Duration{1}};
#else
belay::Backoff backoff{cap, belay::FullJitter{}, belay::Duration{1}};
#endif
}  // namespace backoff_with_the_cap_first

// expect-error: Backoff: after the jitter pass a cap, and then a base or a growth
namespace backoff_of_a_base {
#if defined(BELAY_CONTROL)
belay::Backoff backoff{belay::FullJitter{}, belay::Cap{std::chrono::seconds{30}},
                       belay::Exponential{std::chrono::seconds{1}, 1.5}};
#else
belay::Backoff backoff{std::chrono::milliseconds{100}};
#endif
}  // namespace backoff_of_a_base

// expect-error: Backoff: write the factor into the growth
namespace backoff_with_a_factor {
#if defined(BELAY_CONTROL)
belay::Backoff backoff{belay::FullJitter{}, belay::Cap{std::chrono::seconds{30}},
                       belay::Exponential{std::chrono::seconds{1}, 1.5}};
#else
belay::Backoff backoff{belay::FullJitter{}, belay::Cap{std::chrono::seconds{30}},
                       std::chrono::seconds{1}, 1.5};
#endif
}  // namespace backoff_with_a_factor
