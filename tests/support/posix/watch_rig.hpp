// SPDX-License-Identifier: MIT
/// \file tests/support/posix/watch_rig.hpp
/// Pair and Handler: two connected sockets, and a watch that records its calls.
#pragma once

#include <functional>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <belay/posix/poller.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// Two connected sockets.
struct Pair {
    Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0); }
    Pair(const Pair&) = delete;
    ~Pair() {
        hang_up();
        ::close(ends[0]);
    }
    void ring() { REQUIRE(::write(ends[1], "x", 1) == 1); }
    void drain() {
        char c[16];
        while (::read(ends[0], c, sizeof c) > 0) {
        }
    }
    void hang_up() {
        if (ends[1] >= 0) ::close(ends[1]);
        ends[1] = -1;
    }
    int ends[2];
};

struct Handler {
    explicit Handler(belay::posix::Poller& poller)
        : watch{poller, this, [](void* self, short revents) {
                    auto& h = *static_cast<Handler*>(self);
                    h.observed.push_back(revents);
                    if (h.action) h.action();
                }} {}
    std::vector<short> observed;
    std::function<void()> action;
    belay::posix::Watch watch;
};

template <class L>
void round(L& loop) {
    REQUIRE(loop.run_until([] { return true; }));
}

}  // namespace belay_test
