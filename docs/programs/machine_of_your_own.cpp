// SPDX-License-Identifier: MIT
#include <cstdio>
#include <thread>

#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
/// A machine: deadline() returns when it wants to run, and the loop then calls advance().
struct Ticker {
    Instant next = always;
    int left = 3;
    Waker waker{};

    void attach(Waker w) { waker = std::move(w); }
    Instant deadline() const noexcept { return left > 0 ? next : never; }
    void advance(Instant now) {
        if (now < deadline()) return;
        std::printf("tick, %d left\n", --left);
        next = after(now, 10ms);
    }
};
// excerpt: end

int main() {
    Loop loop;
    Ticker ticker;
    loop.attach(ticker);
    std::thread worker{[&] { loop.post([] { std::printf("on the loop's thread\n"); }); }};
    worker.join();
    return loop.run_until([&] { return ticker.left == 0; }, 10s) ? 0 : 1;
}
