// SPDX-License-Identifier: MIT
// Goal: backoff/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

bool waits_stay_in_bounds() {
    Backoff exact{NoJitter{}, Cap{4s}, 1s};
    Backoff above{ProportionalJitter::plus_percent(10), Cap{1s}, 1s};
    Backoff smooth{SmoothJitter{}, Cap{8s}, 1s};
    Random bits{Seed{1}};
    for (const Duration wanted : {1s, 2s, 4s, 4s}) {
        if (exact.next(bits) != wanted || above.next(bits) > 1s || smooth.next(bits) > 8s) {
            return false;
        }
    }
    return true;
}

bool mistakes_are_values() {
    const auto made = make_backoff(NoJitter{}, Cap{4s}, 0s);
    return !made && made.error() == BackoffErrc::bad_base;
}

}  // namespace

int main() {
    if (!waits_stay_in_bounds()) return 1;
    if (!mistakes_are_values()) return 2;
    return 0;
}
