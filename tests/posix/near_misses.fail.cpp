// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/drive/loop.hpp>
#include <belay/posix/listener.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/tcp.hpp>

// expect-error: Listener: on_accept must return void, because a result would be ignored and a coroutine
namespace accepted_by_a_coroutine {
// The coroutine would be created and destroyed, and would never run.
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

// expect-error: posix::Tcp: write the host and the port as one argument
namespace tcp_host_and_port {
void use(belay::posix::Loop<>& loop) {
#if defined(BELAY_CONTROL)
    belay::posix::Tcp tcp{loop, belay::posix::Endpoint{"127.0.0.1", 1}};
#else
    belay::posix::Tcp tcp{loop, "127.0.0.1", 1};
#endif
}
}  // namespace tcp_host_and_port

// expect-error: posix::Tcp, Unix and Listener: the loop must be a belay::posix::Loop
namespace listener_on_a_loop_without_sockets {
#if defined(BELAY_CONTROL)
void use(belay::posix::Loop<>& loop) {
#else
void use(belay::Loop<>& loop) {
#endif
    belay::posix::Listener listener{loop, [](belay::posix::Accepted<>) {}};
}
}  // namespace listener_on_a_loop_without_sockets

// expect-error: posix::Tcp, Unix and Listener: the loop must be a belay::posix::Loop
namespace unix_on_a_loop_without_sockets {
#if defined(BELAY_CONTROL)
using Loop = belay::posix::Loop<>;
#else
struct Loop : belay::Loop<> {};
#endif
void use(Loop& loop) {
    belay::posix::Unix connector{loop, belay::posix::UnixPath{"/run/app.sock"}};
}
}  // namespace unix_on_a_loop_without_sockets

// expect-error: posix::Tcp, Unix and Listener: the loop must be a belay::posix::Loop
namespace tcp_on_a_loop_without_sockets {
#if defined(BELAY_CONTROL)
using Loop = belay::posix::Loop<>;
#else
struct Loop : belay::Loop<> {};
#endif
void use(Loop& loop) { belay::posix::Tcp tcp{loop, belay::posix::Endpoint{"127.0.0.1", 1}}; }
}  // namespace tcp_on_a_loop_without_sockets

// expect-error: posix::Tcp: write the host and the port as an endpoint
namespace tcp_to_a_text {
void use(belay::posix::Loop<>& loop) {
#if defined(BELAY_CONTROL)
    belay::posix::Tcp tcp{loop, belay::posix::Endpoint{"127.0.0.1", 1}};
#else
    belay::posix::Tcp tcp{loop, "127.0.0.1:1"};
#endif
}
}  // namespace tcp_to_a_text
