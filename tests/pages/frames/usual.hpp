// SPDX-License-Identifier: MIT
// Declarations that the fragments of many pages need, and the form in which a fragment with
// co_await is compiled; see page_blocks.py.
#pragma once

#include <coroutine>
#include <exception>
#include <string_view>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
#include <belay/posix.hpp>
#include <belay/room.hpp>

namespace frames {

using namespace belay;
using namespace std::chrono_literals;

extern posix::Loop<> loop;
extern ThreadSleeper sleeper;
extern LoopSleeper<posix::Loop<>> loop_sleeper;
inline const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{5}};
struct App {  // an observer
    void on_state(const Transition&);
    void on_rejected(const RoomRejection&);
};

void log(const auto&... what);
int fail(std::string_view why);

struct Coroutine {
    struct promise_type {
        Coroutine get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

}  // namespace frames
