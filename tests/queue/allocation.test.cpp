// SPDX-License-Identifier: MIT
// Goal: a ring allocates nothing after it was made, a codec nothing in the steady state; each
// holds as much memory as its page states. Method: a counting operator new.
#include <belay/queue/concurrent_rings.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>

#include <algorithm>

#include <belay/posix/journal.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/held.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::Held;
using belay_test::page_size;

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

namespace {

/// Returns how often a thousand pushes and pops allocate, with up to 50 values waiting.
template <class Storage>
std::size_t allocations_of(Storage& storage) {
    for (int i = 0; i < 50; ++i) static_cast<void>(storage.try_push(int{i}));
    const Counting counting;
    for (int i = 0; i < 1000; ++i) {
        static_cast<void>(storage.try_pop());
        static_cast<void>(storage.try_push(int{i}));
    }
    return counting.made();
}

}  // namespace

TEST_CASE("Rings between threads push and pop without allocating", "[queue][allocation][unit]") {
    SpscRing<int> spsc{64};
    MpmcRing<int> mpmc{64};
    BlockingRing<SpscRing<int>> blocking{64};
    CHECK(allocations_of(spsc) == 0);
    CHECK(allocations_of(mpmc) == 0);
    CHECK(allocations_of(blocking) == 0);
}

TEST_CASE("Deque of a constant size allocates at most its spare block",
          "[queue][allocation][unit]") {
    Deque<int> deque;
    CHECK(allocations_of(deque) <= 1);
    CHECK(allocations_of(deque) == 0);
}

namespace {

struct Sample {
    std::uint64_t at = 0;
    std::uint64_t value = 0;
};

struct SampleCodec {
    bool encode(const Sample& sample, Bytes& into) {
        into.resize(16);
        store_le(into.data(), sample.at);
        store_le(into.data() + 8, sample.value);
        return true;
    }
    std::optional<Sample> decode(BytesView bytes) {
        if (bytes.size() != 16) return std::nullopt;
        return Sample{load_le<std::uint64_t>(bytes.data()),
                      load_le<std::uint64_t>(bytes.data() + 8)};
    }
};

}  // namespace

TEST_CASE("Encoded over a Journal pushes and drains without allocating",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal", {.flush = Flush::none});
    REQUIRE(journal);
    Queue queue{Encoded{std::move(*journal), SampleCodec{}}, {.limit = 1000}};
    std::uint64_t sum = 0;
    const auto round = [&] {
        bool worked = true;
        for (std::uint64_t i = 0; i < 500; ++i) worked = worked && !queue.push(Sample{i, i});
        worked = worked && !queue.storage().commit();
        return worked && queue.drain([&](const Sample& s) { sum += s.value; }).drained == 500;
    };
    bool worked = round();
    std::size_t made = 0;
    {
        const Counting counting;
        worked = round() && worked;
        made = counting.made();
    }
    CHECK(worked);
    CHECK(sum == 2 * 499 * 500 / 2);
    CHECK(made == 0);
}

TEST_CASE("Queue over Deque holds its values and one or two blocks, and frees them",
          "[queue][allocation][unit]") {
    constexpr std::int64_t many = 200'000;
    Held observed;
    {
        const Counting counting;
        Queue queue{Deque<std::uint64_t>{}, {.limit = many}};
        for (int round = 0; round < 4; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                observed.worked = observed.worked && !queue.push(static_cast<std::uint64_t>(i));
            }
            observed.filled = std::max(observed.filled, counting.held());
            for (std::int64_t i = 0; i < many; ++i) {
                observed.worked = observed.worked && queue.pop() == static_cast<std::uint64_t>(i);
            }
            observed.drained = std::max(observed.drained, counting.held());
            if (round == 0) observed.first_peak = counting.peak();
            observed.last_peak = counting.peak();
        }
    }
    INFO("filled " << observed.filled << ", drained " << observed.drained << ", peaks "
                   << observed.first_peak << ' ' << observed.last_peak);
    CHECK(observed.worked);
    CHECK(observed.filled >= 8 * many);
    CHECK(observed.filled <= 8 * many + many / 4);
    CHECK(observed.drained <= page_size);
    CHECK(observed.last_peak <= observed.first_peak + page_size);
}
