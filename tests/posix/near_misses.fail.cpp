// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/posix/listener.hpp>

// expect-error: Listener: on_accept must return void, because a result would be ignored and a coroutine
namespace accepted_by_a_coroutine {
// It would be made, dropped, and never run.
struct Coroutine {};
void use(belay::posix::Loop<>& loop) {
#if defined(BELAY_CONTROL)
    const auto on_accept = [](belay::posix::Accepted<>) {};
#else
    const auto on_accept = [](belay::posix::Accepted<>) { return Coroutine{}; };
#endif
    belay::posix::Listener listener{loop, on_accept};
}
}  // namespace accepted_by_a_coroutine
