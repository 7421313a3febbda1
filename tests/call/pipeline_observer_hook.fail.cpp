// SPDX-License-Identifier: MIT
// expect-error: Pipeline: the observer's on_refusal must be 'on_refusal
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};
class Observer : public belay::NoObserver {
#if defined(BELAY_CONTROL)
public:
#endif
    void on_refusal(const belay::CallRefused&) {}
};

void call(Sleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
