// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <memory>

#include <belay/core/clocks.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/tee.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>

// expect-error: ClockLike: C needs .now.. const.
namespace clock_without_now {
struct Clock {
#if defined(BELAY_CONTROL)
    belay::Instant now() const noexcept { return {}; }
#endif
};

static_assert(belay::explain::clock_like<Clock>());
}  // namespace clock_without_now

// expect-error: Completion: the function must return void, because a result would be ignored
namespace completion_with_result {
#if defined(BELAY_CONTROL)
inline void take(std::optional<int>) noexcept {}
#else
inline bool take(std::optional<int>) noexcept { return true; }
#endif
inline belay::Completion<int> make() { return &take; }
}  // namespace completion_with_result

// expect-error: DriverLike: D needs .driver::Post post.f.., which any thread may call
namespace driver_without_post {
struct Driver {
    template <class M>
    void attach(M&) {}
#if defined(BELAY_CONTROL)
    template <class F>
    belay::driver::Post post(F) {
        return belay::driver::Post::gone;
    }
#endif
    belay::Instant now() const noexcept { return belay::never; }
};

static_assert(belay::explain::driver_like<Driver>());
}  // namespace driver_without_post

// expect-error: MachineLike: M needs .advance.belay::Instant.
namespace machine_without_advance {
struct Machine {
    void attach(belay::Waker) {}
    belay::Instant deadline() const noexcept { return belay::never; }
#if defined(BELAY_CONTROL)
    void advance(belay::Instant) {}
#endif
};

static_assert(belay::explain::machine_like<Machine>());
}  // namespace machine_without_advance

// expect-error: Tee: the argument of this hook cannot be copied
namespace tee_takes_away {
// Two observers that take the one value.
struct Keeper {
#if defined(BELAY_CONTROL)
    void on_dropped(const std::unique_ptr<int>& value);
#else
    void on_dropped(std::unique_ptr<int> value);
#endif
};

void use() {
    belay::Queue queue{belay::Ring<std::unique_ptr<int>, 2>{},
                       belay::DropOldest{},
                       {},
                       belay::Tee{Keeper{}, Keeper{}}};
    static_cast<void>(queue.push(std::make_unique<int>(1)));
}
}  // namespace tee_takes_away

// expect-error: add the hook to MemberNames
namespace belay { inline namespace BELAY_ABI { namespace detail {
#if defined(BELAY_CONTROL)
BELAY_DETAIL_HOOK(OnNew, on_state);
#else
BELAY_DETAIL_HOOK(OnNew, on_new);
#endif
static_assert(!has_hook<OnNew, NoObserver>());
}}}  // namespace belay::detail

// expect-error: new_member.*MemberNames
namespace belay { inline namespace BELAY_ABI { namespace detail {
#if defined(BELAY_CONTROL)
BELAY_DETAIL_MEMBER(state_vector);
#else
BELAY_DETAIL_MEMBER(new_member);
#endif
}}}  // namespace belay::detail
