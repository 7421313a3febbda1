// SPDX-License-Identifier: MIT
// Goal: every operation is counted in the result, and each failure has its error, for any operation
// and any answer of a store. Method: operations of unknown types, stamps of any time, names of all
// kinds, ids and stamps of other authors, batches again in parts; a store with a wrong answer for
// each call.
#include <belay/sync/sync_processor.hpp>

#include <limits>
#include <map>
#include <utility>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// An operation whose kind comes from a received message.
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

/// A MemoryStore one of whose answers is wrong, from some call on.
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
            batch.push_back(op);  // a conflict, and merged above both stamps
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
                // If a store confuses ids, an operation seems to reuse the id of another one.
                CHECK(failed.retryable == (failed.error != SyncErrc::id_reused));
                CHECK((failed.kept || !failed.retryable || detail::may_heal(failed.error)));
            }
            // When the store works again, it applies the operations that were not decided, and
            // recognizes the others.
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
    // The Interaction changes nothing, and an Update does not restore a missing element.
    REQUIRE(sums(result, batch.size()) == "1 1 5");
    CHECK(result.failed_operations[0].error == SyncErrc::too_old);
    for (const auto& failed : result.failed_operations) CHECK(failed.retryable);
}

TEST_CASE("an author whose id or stamp another one has claimed has its edit, or a report of it",
          "[sync][bad_input]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const bool has_version = GENERATE(false, true);
    const auto saw = [&](Op op) {
        if (has_version) op.saw = Stamp{};
        return op;
    };
    const Op author = saw(add("a", "of the author", stamp(5, 1)));
    Op claims_id = saw(add("a", "of another", stamp(5, 2)));
    claims_id.id = author.id;
    const Op claims_stamp = saw(add("b", "of another", stamp(6, 1)));
    REQUIRE(processor.process_batch("s", Ops{claims_id, claims_stamp}).success);

    const Op of_stamp = saw(add("b", "of the author", stamp(6, 1)));
    const Op later = saw(add("c", "of the author", stamp(7, 1)));
    const SyncResult result = processor.process_batch("s", Ops{author, of_stamp, later});
    CHECK_FALSE(result.success);
    REQUIRE(result.failed_operations.size() == 1);
    CHECK(result.failed_operations[0].operation == author);
    CHECK(result.failed_operations[0].error == SyncErrc::id_reused);
    CHECK_FALSE(result.failed_operations[0].retryable);
    REQUIRE(result.conflicts.size() + result.overwrote.size() == 1);
    if (!result.conflicts.empty()) CHECK(result.conflicts[0].operation == of_stamp);
    CHECK(state_text(store, "c") == "live 7 of the author");
    // With an id of its own, the edit is processed as any other.
    Op again = author;
    again.id = fresh_id();
    again.stamp = stamp(8, 1);
    again.saw.reset();
    CHECK(sums(processor.process_batch("s", Ops{again}), 1) == "1 0 0");
    CHECK(state_text(store, "a") == "live 8 of the author");
}

TEST_CASE("batches that come again in parts and in another order have the same results",
          "[sync][bad_input][property]") {
    for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const auto any = [&](std::uint64_t below) { return uniform_upto(bits, below - 1); };
            Memory store;
            auto processor = processor_of(store, LastWriteWins{});
            Ops all;
            std::map<std::string, std::vector<Stamp>> versions;
            for (int i = 0; i < 40; ++i) {
                const std::string element(1, static_cast<char>('a' + any(4)));
                const Stamp at = stamp(static_cast<std::int64_t>(1 + any(30)), 1 + any(3),
                                       static_cast<std::uint32_t>(any(2)));
                Op op = any(4) == 0 ? removal(element, at) : add(element, std::to_string(i), at);
                if (any(3) == 0) op = update(element, std::to_string(i), at);
                auto& seen = versions[element];
                if (any(2) == 0) op.saw = seen.empty() ? Stamp{} : seen[any(seen.size())];
                seen.push_back(at);
                all.push_back(op);
            }
            const auto outcomes = [](const SyncResult<Op>& result, const Ops& batch) {
                std::map<Id, std::size_t> of;  // 0: synced, else the reason of the conflict
                for (const Op& op : batch) of[op.id] = 0;
                for (const auto& one : result.conflicts)
                    of[one.operation.id] = 1 + one.reason.index();
                for (const auto& one : result.overwrote)
                    of[one.operation.id] = 10 + one.reason.index();
                REQUIRE(result.failed_operations.empty());
                return of;
            };
            const auto first = outcomes(processor.process_batch("s", all), all);
            const auto list = [&] { return *store.changes_since("s", {}, 100); };
            const auto before = list();
            for (int round = 0; round < 10; ++round) {
                Ops part;
                for (const Op& op : all) {
                    if (any(2) == 0) part.push_back(op);
                }
                for (std::size_t i = part.size(); i > 1; --i) std::swap(part[i - 1], part[any(i)]);
                for (const auto& [id, outcome] :
                     outcomes(processor.process_batch("s", part), part)) {
                    REQUIRE(outcome == first.at(id));
                }
                REQUIRE(list() == before);
            }
        },
        histories(50));
}
