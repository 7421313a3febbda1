// SPDX-License-Identifier: MIT
// Goal: MachineLike accepts the minimal machine and rejects each near miss.
#include <belay/core/machine_like.hpp>

using namespace belay;

namespace {

struct MinimalMachine {
    MinimalMachine() = delete;
    MinimalMachine(const MinimalMachine&) = delete;
    void attach(Waker);
    Instant deadline() const noexcept;
    void advance(Instant);
};
struct MachineWithoutAttach {
    Instant deadline() const noexcept;
    void advance(Instant);
};
struct MachineWithoutDeadline {
    void attach(Waker);
    void advance(Instant);
};
struct MachineWhoseDeadlineThrows {
    void attach(Waker);
    Instant deadline() const;
    void advance(Instant);
};
struct MachineWhoseDeadlineIsNotConst {
    void attach(Waker);
    Instant deadline() noexcept;
    void advance(Instant);
};
struct MachineWithADuration {
    void attach(Waker);
    Duration deadline() const noexcept;
    void advance(Instant);
};
struct MachineWithoutAdvance {
    void attach(Waker);
    Instant deadline() const noexcept;
};

static_assert(MachineLike<MinimalMachine> && explain::machine_like<MinimalMachine>());
static_assert(!MachineLike<MachineWithoutAttach>);
static_assert(!MachineLike<MachineWithoutDeadline>);
static_assert(!MachineLike<MachineWhoseDeadlineThrows>);
static_assert(!MachineLike<MachineWhoseDeadlineIsNotConst>);
static_assert(!MachineLike<MachineWithADuration>);
static_assert(!MachineLike<MachineWithoutAdvance>);
static_assert(!MachineLike<int>);

}  // namespace
