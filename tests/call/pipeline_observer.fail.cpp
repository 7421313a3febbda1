// SPDX-License-Identifier: MIT
// expect-error: Pipeline: the observer hears nothing
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};
struct Observer {
#if defined(BELAY_CONTROL)
    void on_refusal(const belay::CallRefused&) {}
#else
    void on_refused(const belay::CallRefused&) {}
#endif
};

void call(Sleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
