// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/drive/loop.hpp>
#include <belay/drive/on_event_loop.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/on_thread.hpp>

namespace {
// The caller destroys the coroutine, and it never runs.
struct Coroutine {};
}  // namespace

// expect-error: ClockLike: C::now must be noexcept
namespace loop_of_a_throwing_clock {
struct OwnClock {
#if defined(BELAY_CONTROL)
    belay::Instant now() const noexcept { return belay::never; }
#else
    belay::Instant now() const { return belay::never; }
#endif
};
void use() {
    belay::Loop loop{OwnClock{}};
    loop.stop();
}
}  // namespace loop_of_a_throwing_clock

// expect-error: post: the function must return void, because a result would be ignored and a coroutine
namespace posted_coroutine {
void use(belay::Loop<>& loop) {
#if defined(BELAY_CONTROL)
    static_cast<void>(loop.post([] {}));
#else
    static_cast<void>(loop.post([] { return Coroutine{}; }));
#endif
}
}  // namespace posted_coroutine

// expect-error: post: the function must return void, because a result would be ignored and a coroutine
namespace coroutine_posted_to_an_event_loop {
struct EventLoop {
    template <class F>
    void call(F) {}
    template <class F>
    void call_at(belay::Instant, F) {}
    belay::Instant now() const noexcept { return belay::never; }
};
void use(belay::OnEventLoop<EventLoop>& loop) {
#if defined(BELAY_CONTROL)
    static_cast<void>(loop.post([] {}));
#else
    static_cast<void>(loop.post([] { return Coroutine{}; }));
#endif
}
}  // namespace coroutine_posted_to_an_event_loop

// expect-error: a function that is called later must return void, because a result would be ignored
namespace timed_coroutine {
void use(belay::Loop<>& loop) {
#if defined(BELAY_CONTROL)
    static_cast<void>(loop.after(belay::Duration{1}, [] {}));
#else
    static_cast<void>(loop.after(belay::Duration{1}, [] { return Coroutine{}; }));
#endif
}
}  // namespace timed_coroutine

// expect-error: PersistenceLike: P needs 'std::error_code erase
namespace thread_of_no_persistence {
struct Rooms : belay::MemoryRooms {
#if !defined(BELAY_CONTROL)
    void erase(std::string_view) {}
#endif
};
void use() { belay::OnThread rooms{Rooms{}}; }
}  // namespace thread_of_no_persistence
