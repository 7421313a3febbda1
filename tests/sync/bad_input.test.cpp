// SPDX-License-Identifier: MIT
// Goal: every operation is counted in the result and errors are named, for any operation and any
// answer of a store. Method: operations of unknown types, wild stamps, names of all kinds; a
// store with a wrong answer for each call.
#include <belay/sync/sync_processor.hpp>

#include <limits>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// An operation whose reader takes its kind from a message.
struct WireOperation {
    using value_type = std::string;
    Id id{};
    Stamp stamp{};
    int code = 0;
    std::string text{};

    [[nodiscard]] OperationKind kind() const noexcept { return static_cast<OperationKind>(code); }
    [[nodiscard]] std::string_view element() const noexcept { return "e"; }
    [[nodiscard]] const std::string& value() const { return text; }
};

/// A MemoryStore of which one answer is a lie, from some call on.
struct ContradictingStore {
    using operation_type = Op;
    enum class Fault {
        none,
        find,
        nothing_to_read,
        add,
        update,
        remove,
        remember,
        applied,
        expire
    };

    Result<part::ElementState> find(const part::ElementKey& key) {
        if (fault == Fault::find)
            return part::ElementState{part::Presence::live, belay_test::stamp(1)};
        return store.find(key);
    }
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        if (fault == Fault::nothing_to_read) return std::optional<std::string>{};
        return store.read(key);
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return fault == Fault::add ? answer : store.add(key, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return fault == Fault::update ? answer : store.update(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return fault == Fault::remove ? answer : store.remove(key, mark);
    }
    std::error_code remember(const part::WriteMark& mark) {
        return fault == Fault::remember ? answer : store.remember(mark);
    }
    Result<std::optional<part::AppliedMark>> applied(const Id& id) {
        if (fault == Fault::applied)
            return std::optional{part::AppliedMark{42, part::Decision::applied}};
        return store.applied(id);
    }
    std::error_code expire(WallTime now) {
        return fault == Fault::expire ? answer : store.expire(now);
    }
    [[nodiscard]] WallTime horizon() const noexcept { return horizon_is; }

    Fault fault = Fault::none;
    std::error_code answer{};
    WallTime horizon_is = WallTime::min();
    Memory store{};
};

const auto merges = [](const ConflictSides<Op>& sides) {
    return Resolution<std::string>::merged(sides.local_value != nullptr ? *sides.local_value
                                                                        : std::string{});
};

Ops each_kind() {
    return {add("e", "1", stamp(1)),      update("e", "2", stamp(2)), update("e", "3", stamp(2, 9)),
            removal("e", stamp(3)),       add("e", "4", stamp(1)),    interaction("x", stamp(4)),
            update("none", "1", stamp(5))};
}

}  // namespace

TEST_CASE("operations of an unknown kind are rejected", "[sync][bad_input]") {
    MemoryStore<std::string, WireOperation> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            ManualWallTime{}};
    std::vector<WireOperation> batch;
    for (const int code : {0, 4, 255, 3}) batch.push_back({fresh_id(), stamp(1), code, "1"});
    const auto result = processor.process_batch("s", batch);
    REQUIRE(sums(result, 4) == "2 0 2");
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.error == SyncErrc::bad_operation);
        CHECK_FALSE(failed.retryable);
    }
}

TEST_CASE("stamps of any time are ordered, or rejected as from the future", "[sync][bad_input]") {
    Memory store;
    auto processor = processor_of(store, merges);
    constexpr auto counts = std::numeric_limits<std::uint32_t>::max();
    Ops batch;
    for (const WallTime at :
         {WallTime::min(), WallTime{}, ManualWallTime{}.time, WallTime::max()}) {
        for (const std::uint32_t counter : {std::uint32_t{0}, counts}) {
            Op op = add("e", "x", {at, counter, id_of(1)});
            batch.push_back(op);
            op.id = fresh_id();
            op.stamp.origin = id_of(2);
            batch.push_back(op);  // a conflict, merged above both
        }
    }
    const SyncResult result = processor.process_batch("s", batch);
    REQUIRE(sums(result, batch.size()) == "12 0 4");
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.operation.stamp.wall == WallTime::max());
        CHECK(failed.retryable);
        CHECK(failed.wait);
    }
    CHECK(result.failed_operations[0].error == SyncErrc::from_the_future);
    CHECK(store.find({"s", "e"})->stamp.wall > ManualWallTime{}.time);
}

TEST_CASE("sessions and elements may have any name that is not empty", "[sync][bad_input]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const std::vector<std::string> odd{
        std::string{"a\0b", 3}, std::string{"a\0c", 3}, "a", "\xff\xfe", "../..",
        std::string(1024, 'x')};
    std::vector<std::string> sessions = odd;
    sessions.push_back("");
    sessions.push_back(std::string(1 << 20, 's'));
    for (const std::string& session : sessions) {
        Ops batch;
        for (const std::string& element : odd) batch.push_back(add(element, session, stamp(1)));
        CHECK(sums(processor.process_batch(session, batch), odd.size()) == "6 0 0");
    }
    CHECK(store.size() == odd.size() * sessions.size());
    for (const std::string& session : sessions) {
        for (const std::string& element : odd) {
            CHECK(store.read({session, element}).value() == session);
        }
    }
}

TEST_CASE("an id of zeros is rejected, and an id of ones is valid", "[sync][bad_input]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    Id ones{};
    ones.fill(std::byte{0xFF});
    Op zero = add("a", "1", stamp(1)), huge = add("b", "1", stamp(1));
    zero.id = no_id;
    huge.id = ones;
    huge.stamp.origin = ones;
    const SyncResult result = processor.process_batch("s", Ops{zero, huge, huge});
    REQUIRE(sums(result, 3) == "2 0 1");
    CHECK(result.failed_operations[0].operation == zero);
    CHECK(state_text(store, "b") == "live 1 1");
}

TEST_CASE("every operation is counted in the result, also if the store contradicts itself",
          "[sync][bad_input]") {
    using Fault = ContradictingStore::Fault;
    std::size_t failures = 0;
    for (const Fault fault : {Fault::find, Fault::nothing_to_read, Fault::add, Fault::update,
                              Fault::remove, Fault::remember, Fault::applied, Fault::expire}) {
        for (const std::error_code& answer :
             {std::error_code{}, make_error_code(SyncErrc::store_busy),
              make_error_code(SyncErrc::store_full), make_error_code(SyncErrc::store_disagrees),
              std::make_error_code(std::errc::no_space_on_device)}) {
            ContradictingStore store;
            store.fault = fault;
            store.answer = answer;
            const Ops batch = each_kind();
            SyncProcessor processor{std::ref(store), merges, SyncOptions{.upsert_updates = true},
                                    NoObserver{}, ManualWallTime{}};
            const SyncResult result = processor.process_batch("s", batch);
            INFO("lie " << static_cast<int>(fault) << ": " << answer.message());
            REQUIRE(sums(result, batch.size()).find(' ') != std::string::npos);
            failures += result.failed_count;
            for (const auto& failed : result.failed_operations) {
                CHECK(failed.error);
                // A store that confuses ids makes operations seem to be reused.
                CHECK(failed.retryable == (failed.error != SyncErrc::id_reused));
                CHECK((failed.kept || !failed.retryable || detail::may_heal(failed.error)));
            }
            // Honest again, it takes what was not decided; what was, it knows.
            store.fault = Fault::none;
            const SyncResult again = processor.process_batch("s", batch);
            REQUIRE(sums(again, batch.size()).find(' ') != std::string::npos);
        }
    }
    CHECK(failures > 50);
}

TEST_CASE("a store that reports an element as live and cannot read it is detected",
          "[sync][bad_input]") {
    ContradictingStore store;
    SyncProcessor processor{std::ref(store), merges, SyncOptions{}, NoObserver{}, ManualWallTime{}};
    REQUIRE(processor.process_batch("s", Ops{add("e", "1", stamp(1, 2))}).success);
    store.fault = ContradictingStore::Fault::nothing_to_read;
    const SyncResult result = processor.process_batch("s", Ops{update("e", "2", stamp(1, 1))});
    REQUIRE(sums(result, 1) == "0 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::store_disagrees);
}

TEST_CASE("a store whose horizon is in the future keeps each change that may bring back an element",
          "[sync][bad_input]") {
    ContradictingStore store;
    store.horizon_is = WallTime::max();
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            ManualWallTime{}};
    const Ops batch = each_kind();
    const SyncResult result = processor.process_batch("s", batch);
    // The Interaction changes nothing, and an Update without its element brings nothing back.
    REQUIRE(sums(result, batch.size()) == "1 1 5");
    CHECK(result.failed_operations[0].error == SyncErrc::too_old);
    for (const auto& failed : result.failed_operations) CHECK(failed.retryable);
}
