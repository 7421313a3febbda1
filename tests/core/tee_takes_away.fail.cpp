// SPDX-License-Identifier: MIT
// expect-error: Tee: what is handed over cannot be copied
#include <memory>

#include <belay/core/tee.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/ring.hpp>

// Two that want the one value.
struct Keeper {
#if defined(BELAY_CONTROL)
    void on_dropped(const std::unique_ptr<int>& value);
#else
    void on_dropped(std::unique_ptr<int> value);
#endif
};

void use() {
    belay::Queue queue{belay::Ring<std::unique_ptr<int>, 2>{},
                       belay::DropOldest{},
                       {},
                       belay::Tee{Keeper{}, Keeper{}}};
    static_cast<void>(queue.push(std::make_unique<int>(1)));
}
