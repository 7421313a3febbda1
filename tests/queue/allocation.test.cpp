// SPDX-License-Identifier: MIT
// Goal: a ring allocates nothing after it was made. Method: a counting operator new.
#include <belay/queue/queue.hpp>
#include <belay/queue/ring.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using belay_test::Counting;

TEST_CASE("Ring and a Queue over it push and pop without allocating", "[queue][allocation][unit]") {
    Queue<Ring<int, 64>> fixed;
    Ring<int> ring{100};
    int sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 1000; ++i) {
            static_cast<void>(fixed.push(i));
            static_cast<void>(ring.try_push(i));
            if (i % 2 == 1) sum += fixed.pop().value_or(0) + ring.try_pop().value_or(0);
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}
