// SPDX-License-Identifier: MIT
// A program over AnyHttpCalls without its source file, which the linker reports by name.
#include <belay/curl/any_http_calls.hpp>

int main() {
    belay::posix::Loop loop;
    const belay::curl::AnyHttpCalls calls{loop};
    return static_cast<int>(calls.counters().calls);
}
