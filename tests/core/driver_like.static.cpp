// SPDX-License-Identifier: MIT
// Goal: the concepts of drivers require their documented members, and nothing more.
#include <belay/core/machine_like.hpp>

#include <belay/drive/on_event_loop.hpp>

using namespace belay;

namespace {

struct MinimalDriver {
    MinimalDriver(const MinimalDriver&) = delete;
    template <class M>
    void attach(M&);
    template <class F>
    driver::Post post(F);
    Instant now() const noexcept;
};
struct DriverThatPostsNowhere : MinimalDriver {
    template <class F>
    void post(F);
};
struct DriverWhoseTimeThrows : MinimalDriver {
    Instant now() const;
};
struct DriverOfNone : MinimalDriver {
    void attach();
};

struct MinimalEventLoop {
    MinimalEventLoop(const MinimalEventLoop&) = delete;
    template <class F>
    void call(F);
    template <class F>
    void call_at(Instant, F);
    Instant now() const noexcept;
};
struct EventLoopWithoutCall : MinimalEventLoop {
    void call();
};
struct EventLoopWithoutTimer : MinimalEventLoop {
    void call_at(Instant);
};
struct EventLoopWhoseTimeThrows : MinimalEventLoop {
    Instant now() const;
};

}  // namespace

static_assert(DriverLike<MinimalDriver> && explain::driver_like<MinimalDriver>());
static_assert(EventLoopLike<MinimalEventLoop> && explain::event_loop_like<MinimalEventLoop>());
static_assert(!DriverLike<DriverThatPostsNowhere>);
static_assert(!DriverLike<DriverWhoseTimeThrows>);
static_assert(!DriverLike<DriverOfNone>);
static_assert(!EventLoopLike<EventLoopWithoutCall>);
static_assert(!EventLoopLike<EventLoopWithoutTimer>);
static_assert(!EventLoopLike<EventLoopWhoseTimeThrows>);
