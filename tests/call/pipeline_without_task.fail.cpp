// SPDX-License-Identifier: MIT
// expect-error: Pipeline: include <belay/call_coroutines.hpp> for co_await pipeline.sleeper, fn.
#include <belay/call/pipeline.hpp>
#if defined(BELAY_CONTROL)
#    include <belay/call_coroutines.hpp>
#endif

#include <belay/call/layers.hpp>
#include <belay/drive/loop.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/policy/rules.hpp>

namespace {
struct Ready {
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(auto) const noexcept {}
    [[nodiscard]] bool await_resume() const noexcept { return true; }
};
}  // namespace

int main() {
    belay::Loop loop;
    belay::LoopSleeper sleeper{loop};
    const belay::Pipeline pipeline{belay::Retrying{belay::MaxAttempts{3}}};
    auto task = pipeline(sleeper, [] { return Ready{}; });
    return 0;
}
