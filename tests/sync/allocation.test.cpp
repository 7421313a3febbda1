// SPDX-License-Identifier: MIT
// Goal: an operation of a long batch on a failing store costs as much memory as one of a short
// batch. Method: a counting operator new.
#include <new>

#include <belay/sync/detail/replica_edits.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/failing_new.hpp"
#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct StoreThatIsDown : Memory {
    using operation_type = Op;
    std::error_code add(const part::ElementKey&, const std::string&, const part::WriteMark&) {
        return SyncErrc::store_busy;
    }
};

/// A log that stores nothing, and counts its records.
struct LogOfNumbers {
    Result<std::uint64_t> append(BytesView) { return ++last_; }
    Result<BytesView> read(std::uint64_t) const { return make_error_code(QueueErrc::corrupt); }
    std::error_code commit() { return {}; }
    std::error_code ack(std::uint64_t until) {
        base_ = until + 1;
        return {};
    }
    [[nodiscard]] std::uint64_t last() const { return last_; }
    [[nodiscard]] std::uint64_t base() const { return base_; }
    std::uint64_t last_ = 0;
    std::uint64_t base_ = 1;
};

/// Returns how often a batch of this many operations allocates, on a store that is down.
std::size_t allocations_of(int operations) {
    Ops batch;
    for (int i = 0; i < operations; ++i) batch.push_back(add(std::to_string(i), "1", stamp(1)));
    StoreThatIsDown store;
    auto processor = processor_of(store, LastWriteWins{}, {.transaction_operations = 10});
    const std::size_t before = allocations;
    std::size_t failed = 0;
    {
        const Counting counting;
        failed = processor.process_batch("s", batch).failed_count;
    }
    REQUIRE(failed == batch.size());
    return allocations - before;
}

}  // namespace

TEST_CASE(
    "a long batch on a store that is down allocates as much for each operation as a short one",
    "[sync][allocation]") {
    const std::size_t one = allocations_of(1000);
    CHECK(allocations_of(4000) < 5 * one);
}

TEST_CASE("ReplicaEdits has no edit that threw, at any allocation", "[sync][allocation]") {
    const std::string element = "an element with a long name";
    for (std::size_t good = 0;; ++good) {
        belay::detail::ReplicaEdits<TextCodec, LogOfNumbers> edits{TextCodec{}};
        LogOfNumbers log;
        Op operation = add(element, "1", stamp(1));
        bool threw = false;
        {
            const FailingNew failing{good};
            try {
                threw = static_cast<bool>(edits.append(log, std::move(operation), nullptr));
            } catch (const std::bad_alloc&) {
                threw = true;
            }
        }
        if (!threw) break;
        REQUIRE(edits.all().empty());
        REQUIRE(edits.last_of(element) == nullptr);
    }
}

TEST_CASE("ReplicaEdits shows the waiting edits after it forgot decided ones, at any allocation",
          "[sync][allocation][regression]") {
    using Edits = belay::detail::ReplicaEdits<TextCodec, LogOfNumbers>;
    const std::string both = "an element with a long name, edited twice";
    const std::string waits = "an element with a long name, whose edit waits";
    const std::string decided = "an element with a long name, whose edit is decided";
    bool threw = true;
    for (std::size_t good = 0; threw; ++good) {
        CAPTURE(good);
        Edits edits{TextCodec{}};
        LogOfNumbers log;
        Edits::Replaced replaced;
        const auto append = [&](const std::string& element, const std::string& value) {
            REQUIRE_FALSE(edits.append(log, add(element, value, stamp(1)), edits.last_of(element)));
        };
        append(both, "1");
        append(decided, "2");
        append(waits, "3");
        append(both, "4");
        // This edit waits for a kept one, so that each step of the release has work.
        edits.all().back().state = belay::detail::EditState::kept;
        append(both, "5");
        for (auto& [seq, edit] : edits.all()) {
            if (seq <= 2) edit.state = belay::detail::EditState::dropped;
        }
        threw = false;
        {
            const FailingNew failing{good};
            try {
                threw = static_cast<bool>(edits.release(log, replaced));
            } catch (const std::bad_alloc&) {
                threw = true;
            }
        }
        const auto shows = [&](const std::string& element) {
            const auto* const edit = edits.shown(edits.last_of(element));
            return edit != nullptr ? edit->operation.value() : std::string{};
        };
        REQUIRE(shows(both) == "5");
        REQUIRE(shows(waits) == "3");
        REQUIRE(shows(decided).empty());
        REQUIRE(edits.last_of(decided) == nullptr);
        REQUIRE(edits.all().size() == 3);
    }
}

TEST_CASE("MemoryStore holds no memory for sessions whose elements are all forgotten",
          "[sync][allocation]") {
    MemoryStoreOptions options;
    options.ids_remembered = 10;
    options.tombstones_kept = Duration{100};
    Memory store{options};
    std::int64_t time = 0;
    const auto a_thousand_sessions = [&] {
        for (int i = 0; i < 1000; ++i) {
            const std::string name = "a session with a long name " + std::to_string(++time);
            const part::ElementKey key{name, "the only element of it"};
            REQUIRE_FALSE(store.add(key, "1", {stamp(time), fresh_id(), 1}));
            REQUIRE_FALSE(store.remove(key, {stamp(time), fresh_id(), 1}));
        }
        time += 200;
        REQUIRE_FALSE(store.expire(WallTime{Duration{time}}));
        REQUIRE(store.size() == 0);
    };
    a_thousand_sessions();
    std::int64_t held = 0;
    {
        const Counting counting;
        const std::int64_t before = bytes_held;
        for (int i = 0; i < 10; ++i) a_thousand_sessions();
        held = bytes_held - before;
    }
    CHECK(held < 10'000);
}
