// SPDX-License-Identifier: MIT
// expect-error: check_storage: values need ==
#include <belay/queue/ring.hpp>
#include <belay/queue/storage_check.hpp>

struct Task {
    std::uint64_t number = 0;
#if defined(BELAY_CONTROL)
    friend bool operator==(const Task&, const Task&) = default;
#endif
};

const auto fault = belay::check_storage([] { return belay::Ring<Task>{8}; },
                                        [](std::uint64_t i) { return Task{i}; });
