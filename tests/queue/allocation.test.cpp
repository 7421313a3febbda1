// SPDX-License-Identifier: MIT
// Goal: a ring allocates nothing after it was made, a journal nothing within a segment. Method: a
// counting operator new.
#include <belay/queue/queue.hpp>
#include <belay/queue/ring.hpp>

#include <belay/drive/posix/journal.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/temporary_directory.hpp"

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

TEST_CASE("Journal appends, syncs and acknowledges within a segment without allocating",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal", {.sync = Sync::none});
    REQUIRE(journal);
    const Bytes body(256, std::byte{7});
    bool worked = journal->append(body).has_value();
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 1000; ++i) {
            const Result<std::uint64_t> number = journal->append(body);
            worked = worked && number && (i % 10 != 0 || !journal->sync()) &&
                     !journal->ack(*number - 1);
        }
        made = counting.made();
    }
    CHECK(worked);
    CHECK(made == 0);
}
