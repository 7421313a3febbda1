// SPDX-License-Identifier: MIT
// expect-error: std::stop_token is missing; with libc.. use -fexperimental-library
#include <version>
#if !defined(BELAY_CONTROL)
#    undef __cpp_lib_jthread
#endif
#include <belay/call/std_stop.hpp>

int main() {
    const belay::StopBridge bridge{std::stop_token{}};
    return bridge.token().stop_requested() ? 1 : 0;
}
