// SPDX-License-Identifier: MIT
// Goal: a Replica loses no edit, and reports each one that is not in the end state. Method: cases
// with a SyncProcessor as the server, and worlds of two and three devices with wrong clocks, lost
// requests and answers, failing stores and disks, and crashes. Each edit must be in the end state,
// or seen by a later author, or in a report.
#include <belay/sync/replica.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ReplicaServerRig {
    WallTime time{1h};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};

    [[nodiscard]] SharedWall wall(Duration wrong = {}) const { return {&time, wrong}; }
    std::map<std::string, std::string> contents() {
        std::map<std::string, std::string> all;
        store.for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            all.emplace(std::string{id}, text);
        });
        return all;
    }
};

}  // namespace

TEST_CASE("EditList is as a plain map, and its references stay", "[sync][replica]") {
    for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const auto any = [&](std::uint64_t below) { return uniform_upto(bits, below - 1); };
            detail::EditList<std::string> list;
            std::map<std::uint64_t, std::string> model;
            std::uint64_t last = any(3);
            for (int step = 0; step < 200; ++step) {
                const std::string* const first = list.empty() ? nullptr : &list.begin()->second;
                const auto place = list.begin();
                const std::uint64_t what = any(20);
                if (what < 15) {
                    last += 1 + any(2);
                    const std::string text = std::to_string(step);
                    REQUIRE(list.push_back(last, text) == text);
                    model[last] = text;
                    if (first != nullptr) REQUIRE(&place->second == first);
                } else if (what < 17 && !model.empty()) {
                    const std::uint64_t at = any(model.size());
                    auto here = list.begin();
                    auto there = model.begin();
                    for (std::uint64_t i = 0; i < at; ++i) ++here, ++there;
                    list.erase(here);
                    model.erase(there);
                } else if (what < 19 && !model.empty()) {
                    REQUIRE(list.back() == model.rbegin()->second);
                    list.pop_back();
                    model.erase(std::prev(model.end()));
                } else {
                    const std::uint64_t part = 1 + any(4);
                    const auto erased = [&](const auto& one) { return one.first % part == 0; };
                    REQUIRE(list.erase_if(erased) == std::erase_if(model, erased));
                }
                REQUIRE(list.size() == model.size());
                auto here = list.begin();
                for (const auto& [number, text] : model) {
                    REQUIRE(here->first == number);
                    REQUIRE((here++)->second == text);
                    REQUIRE(std::as_const(list).at(number) == text);
                }
                REQUIRE(here == list.end());
            }
        },
        50);
}

TEST_CASE("Replica::edit is visible at once, and durable", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(device.replica->edit(UpdateElement<std::string>{"a", "2"}));
    REQUIRE(device.replica->edit(AddElement<std::string>{"b", ""}));
    REQUIRE(device.replica->edit(RemoveElement{"b"}));
    CHECK(device.view() == ReplicaView{{"a", "2"}});
    CHECK(*device.replica->read("a") == "2");
    CHECK_FALSE(device.replica->read("b")->has_value());
    device.disk.crash(Random{Seed{1}});
    REQUIRE(device.start());
    CHECK(device.view() == ReplicaView{{"a", "2"}});
    CHECK(device.replica->waiting() == 4);
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 4);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(device.replica->waiting() == 0);
    CHECK(device.journal->size() == 0);
    CHECK(device.view() == ReplicaView{{"a", "2"}});
    CHECK(rig.contents() == ReplicaView{{"a", "2"}});
}

TEST_CASE("Replica does nothing before load(), so that no earlier edit is overtaken or released",
          "[sync][replica][regression]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    const auto unread = [&] {
        device.replica.emplace(std::ref(*device.journal), std::ref(device.store), TextCodec{},
                               device.options, rig.wall());
    };
    unread();
    CHECK(device.replica->edit(AddElement<std::string>{"b", "2"}).error() == SyncErrc::not_loaded);
    CHECK(device.replica->sync(rig.server).error == SyncErrc::not_loaded);
    CHECK(device.replica->read("a").error() == SyncErrc::not_loaded);
    CHECK(device.replica->for_each([](std::string_view, const std::string&) {}) ==
          SyncErrc::not_loaded);
    CHECK(rig.server.questions == 0);
    unread();
    REQUIRE_FALSE(device.replica->load());
    CHECK(device.view() == ReplicaView{{"a", "1"}});
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    CHECK(rig.contents() == ReplicaView{{"a", "1"}});
}

TEST_CASE("Replica::for_each visits each element once while its visitor edits",
          "[sync][replica][regression]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    const auto name = [](int n) { return "e" + std::to_string(n); };
    for (int n = 0; n < 60; ++n)
        REQUIRE(device.replica->edit(AddElement<std::string>{name(n), "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    for (int n = 40; n < 100; ++n) {  // 40 in the local store alone, 20 in both, 40 that wait
        REQUIRE(device.replica->edit(AddElement<std::string>{name(n), "2"}));
    }
    std::map<std::string, int> visits;
    const auto error = device.replica->for_each([&](std::string_view id, const std::string& text) {
        const std::string element{id};
        ++visits[element];
        REQUIRE(device.replica->edit(RemoveElement{element}));
        REQUIRE(device.replica->edit(AddElement<std::string>{"new " + element, text}));
        CHECK(text == (std::stoi(element.substr(1)) < 40 ? "1" : "2"));  // the view is still valid
    });
    CHECK_FALSE(error);
    CHECK(visits.size() == 100);
    for (const auto& [id, count] : visits) CHECK(count == 1);
    CHECK(device.view().size() == 100);

    // An element that the visitor edits before its turn is not visited.
    int visited = 0;
    REQUIRE_FALSE(device.replica->for_each([&](std::string_view, const std::string&) {
        if (visited++ != 0) return;
        for (int n = 0; n < 100; ++n) {
            REQUIRE(device.replica->edit(UpdateElement<std::string>{"new " + name(n), "3"}));
        }
    }));
    CHECK(visited == 1);

    // A sync or a drop would take away the edits that are visited, or that the server was sent.
    const auto in_a_visit = [&](auto f) {
        return aborts_with([&] {
            static_cast<void>(
                device.replica->for_each([&](std::string_view, const std::string&) { f(); }));
        });
    };
    const auto sync = [&] { static_cast<void>(device.replica->sync(rig.server)); };
    CHECK(in_a_visit(sync).find("Replica::sync: a visitor of for_each()") != std::string::npos);
    CHECK(in_a_visit([&] {
              static_cast<void>(device.replica->drop(Id{}));
          }).find("Replica::drop: a visitor of for_each()") != std::string::npos);
    struct Reentrant {
        decltype(rig.server)& inner;
        decltype(sync)& again;
        auto send(std::span<const Op> batch) { return inner.send(batch); }
        auto changes(const part::StoreCursor& since) { return again(), inner.changes(since); }
    } reentrant{rig.server, sync};
    CHECK(aborts_with([&] {
              static_cast<void>(device.replica->sync(reentrant));
          }).find("Replica::sync: a visitor of for_each()") != std::string::npos);
}

TEST_CASE("Replica::edit costs one flush, and another one in Flush::each if a note is due",
          "[sync][replica]") {
    const Flush flush = GENERATE(Flush::group, Flush::each);
    const Duration pause = GENERATE(Duration{0}, Duration{1s});  // above note_covers
    WallTime time{std::chrono::hours{1}};
    sim::Disk disk;
    MapStore store;
    auto journal = ReplicaJournal::open(disk, "device", {.flush = flush, .seed = Seed{1}});
    REQUIRE(journal);
    Replica replica{std::ref(*journal), std::ref(store), TextCodec{}, {}, SharedWall{&time}};
    REQUIRE_FALSE(replica.load());
    REQUIRE(replica.edit(AddElement<std::string>{"a", "1"}));
    for (int i = 0; i < 5; ++i) {
        time += pause;
        const std::uint64_t before = disk.operations();
        REQUIRE(replica.edit(UpdateElement<std::string>{"a", std::to_string(i)}));
        const bool has_two = flush == Flush::each && pause != Duration{};
        CHECK(disk.operations() - before == (has_two ? 4 : 2));  // a write and a sync each
    }
}

TEST_CASE("Replica::sync of nothing sends one request and reads no element", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    rig.server.questions = 0;
    rig.server.batches.clear();
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.received == 0);
    CHECK(rig.server.questions == 1);
    CHECK(rig.server.batches.empty());
}

TEST_CASE("Replica::sync brings the changes of others, removals included", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> phone{1, rig.wall()};
    Device<> laptop{2, rig.wall()};
    for (int i = 0; i < 10; ++i) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(i), "v"}));
    }
    CHECK_FALSE(phone.replica->sync(rig.server).error);
    const auto first = laptop.replica->sync(rig.server);
    CHECK_FALSE(first.error);
    CHECK(first.copied);
    CHECK(first.received == 10);
    CHECK(laptop.view() == phone.view());
    rig.time += 1s;
    REQUIRE(laptop.replica->edit(RemoveElement{"3"}));
    REQUIRE(laptop.replica->edit(UpdateElement<std::string>{"4", "w"}));
    CHECK_FALSE(laptop.replica->sync(rig.server).error);
    const auto second = phone.replica->sync(rig.server);
    CHECK_FALSE(second.error);
    CHECK_FALSE(second.copied);
    CHECK(second.received == 2);
    REQUIRE(second.replaced.size() == 2);  // both were the phone's versions
    CHECK(second.replaced[0].mine.value == "v");
    CHECK_FALSE(second.replaced[0].now.value.has_value());
    CHECK(second.replaced[1].now.value == "w");
    CHECK(phone.view() == laptop.view());
    CHECK(phone.view() == rig.contents());
}

TEST_CASE("Replica reports a conflict to the author of the edit that lost", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> phone{1, rig.wall()};
    Device<> laptop{2, rig.wall()};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "0"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    rig.time += 1s;
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "early"}));
    rig.time += 1s;
    REQUIRE(laptop.replica->edit(UpdateElement<std::string>{"a", "late"}));
    SECTION("which came second") {
        CHECK(laptop.replica->sync(rig.server).conflicts.empty());
        std::size_t told = 0;
        const auto report = phone.replica->sync(rig.server, [&](const auto& r) {
            told = r.conflicts.size();
            CHECK(phone.replica->waiting() == 1);  // it is still in the journal
        });
        CHECK(told == 1);
        REQUIRE(report.conflicts.size() == 1);
        CHECK(report.conflicts[0].operation.value() == "early");
        CHECK(report.rebased == std::vector<std::string>{"a"});
        CHECK(*phone.replica->read("a") == "late");
    }
    SECTION("which came first") {
        CHECK(phone.replica->sync(rig.server).conflicts.empty());
        const auto report = laptop.replica->sync(rig.server);
        REQUIRE(report.overwrote.size() == 1);
        CHECK(report.overwrote[0].replaced.value == "early");
        const auto late = phone.replica->sync(rig.server);
        REQUIRE(late.replaced.size() == 1);
        CHECK(late.replaced[0].mine.value == "early");
        CHECK(late.replaced[0].now.value == "late");
    }
    CHECK(rig.contents() == ReplicaView{{"a", "late"}});
}

TEST_CASE("LastWriteWins keeps an edit made 1 ms after one of a device that was just restarted",
          "[sync][replica][regression]") {
    WallTime time{1h};
    Memory store;
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> server{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, {&time}};
    Device<> laptop{2, {&time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    // Each command of a command-line program is a restart.
    for (int i = 0; i < 3; ++i) {
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
        REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "phone"}));
    }
    CHECK(phone.replica->clock().ahead() <= 1ms + 2ns);
    time += 1ms + 3ns;
    REQUIRE(laptop.replica->edit(UpdateElement<std::string>{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    CHECK(phone.replica->sync(server).conflicts.size() == 3);
    CHECK(phone.view()["a"] == "laptop");
}

TEST_CASE("Replica reports what its edit replaced unseen after a crash before the report was read",
          "[sync][replica]") {
    // The answer to the second sync is lost, or the process ends after it.
    for (const bool loses_answer : {true, false}) {
        ReplicaServerRig rig;
        Device<> phone{1, rig.wall()};
        Device<> laptop{2, rig.wall()};
        REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "0"}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
        rig.time += 1s;
        REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "early"}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        rig.time += 1s;
        REQUIRE(laptop.replica->edit(UpdateElement<std::string>{"a", "late"}));
        struct Ended {};
        if (loses_answer) {
            rig.server.lose_in = 4;  // the number of requests and answers: changes, batch
            CHECK(laptop.replica->sync(rig.server).error == SyncErrc::unanswered);
            REQUIRE(rig.contents() == ReplicaView{{"a", "late"}});
        } else {
            CHECK_THROWS_AS(laptop.replica->sync(rig.server, [](const auto&) { throw Ended{}; }),
                            Ended);
        }
        const bool restarts = GENERATE(true, false);
        if (restarts) REQUIRE(laptop.start());
        const auto report = laptop.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        REQUIRE(report.overwrote.size() == 1);
        CHECK(report.overwrote[0].operation.value() == "late");
        CHECK(report.overwrote[0].replaced.value == "early");
        CHECK(laptop.replica->sync(rig.server).overwrote.empty());
    }
}

TEST_CASE("Replica sends edits again whose answer was lost, and each takes effect once",
          "[sync][replica]") {
    for (std::uint64_t lost = 1; lost < 12; ++lost) {
        ReplicaServerRig rig;
        Device<> device{1, rig.wall(), {.batch_operations = 2}};
        for (int i = 0; i < 5; ++i) {
            REQUIRE(device.replica->edit(AddElement<std::string>{std::to_string(i), "v"}));
        }
        rig.server.lose_in = lost;
        const auto report = device.replica->sync(rig.server);
        CHECK(device.view().size() == 5);
        CHECK((report.error == SyncErrc::unanswered || rig.server.lose_in != 0));
        if (lost % 2 == 0) REQUIRE(device.start());
        rig.server.lose_in = 0;
        const auto again = device.replica->sync(rig.server);
        CHECK_FALSE(again.error);
        CHECK(again.conflicts.empty());
        CHECK(device.replica->waiting() == 0);
        CHECK(rig.contents() == device.view());
    }
}

TEST_CASE("Replica lists an edit that the server keeps out, and continues with others",
          "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    rig.server.is_full = true;
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "first"}));
    REQUIRE(device.replica->edit(UpdateElement<std::string>{"a", "more"}));
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::store_full);
    CHECK(report.kept[0].retryable);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    CHECK(device.view() == ReplicaView{{"a", "more"}});
    // The kept edits keep their order over a restart.
    REQUIRE(device.start());
    CHECK(device.replica->waiting() == 2);
    REQUIRE(device.replica->edit(AddElement<std::string>{"b", "now"}));
    const auto second = device.replica->sync(rig.server);
    CHECK(second.kept.empty() == false);
    REQUIRE(device.start());
    REQUIRE(device.replica->kept().size() >= 2);
    CHECK(device.replica->kept()[0].operation.value() == "first");
    CHECK(device.view()["a"] == "more");
    rig.server.is_full = false;
    const auto third = device.replica->sync(rig.server);
    CHECK_FALSE(third.error);
    CHECK(third.conflicts.empty());
    CHECK(device.replica->waiting() == 0);
    CHECK(device.journal->size() == 0);
    CHECK(rig.contents() == ReplicaView{{"a", "more"}, {"b", "now"}});
}

TEST_CASE("Replica refuses new edits at its limits, and drops nothing", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall(), {.edits_max = 4, .kept_max = 2}};
    rig.server.is_full = true;
    const auto id = device.replica->edit(AddElement<std::string>{"a", "1"});
    REQUIRE(id);
    REQUIRE(device.replica->edit(AddElement<std::string>{"b", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    CHECK(device.replica->edit(AddElement<std::string>{"c", "1"}).error() ==
          SyncErrc::replica_full);
    CHECK(device.replica->kept().size() == 2);
    CHECK_FALSE(device.replica->drop(*id));
    CHECK(device.replica->drop(*id) == QueueErrc::unknown_number);
    CHECK(device.view() == ReplicaView{{"b", "1"}});
    REQUIRE(device.start());
    CHECK(device.view() == ReplicaView{{"b", "1"}});
    for (const char* const name : {"c", "d", "e"}) {
        REQUIRE(device.replica->edit(AddElement<std::string>{name, "1"}));
    }
    CHECK(device.replica->edit(AddElement<std::string>{"f", "1"}).error() ==
          SyncErrc::replica_full);
    CHECK(device.replica->waiting() == 4);
}

TEST_CASE("Replica rejects a journal in which an edit changes its element or its kind",
          "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    TextCodec codec;
    const auto append = [&](Op op) {
        op.id = id_of(7);
        Bytes record, scratch;
        REQUIRE(detail::EditRecord<TextCodec>::encode(op, {}, codec, record, scratch));
        REQUIRE(device.journal->append(record));
        REQUIRE_FALSE(device.journal->commit());
    };
    append(add("a", "1", stamp(1)));
    append(add("a", "2", stamp(1)));
    CHECK(device.start());
    CHECK(device.view() == ReplicaView{{"a", "2"}});
    const bool has_other_element = GENERATE(false, true);
    append(has_other_element ? add("b", "1", stamp(1)) : update("a", "1", stamp(1)));
    CHECK_FALSE(device.start());
}

TEST_CASE("Replica rejects an edit that has no element, no bytes, or too many", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    using Add = AddElement<std::string>;
    CHECK(device.replica->edit(Add{"", "1"}).error() == SyncErrc::bad_operation);
    CHECK(device.replica->edit(Add{"a", "unencodable"}).error() == SyncErrc::bad_operation);
    CHECK(device.replica->edit(Add{"a", std::string(2000, 'x')}).error() == QueueErrc::too_large);
    CHECK(device.view().empty());
    CHECK(device.replica->waiting() == 0);
    CHECK(device.replica->edit(Add{"a", ""}));
    CHECK(device.view() == ReplicaView{{"a", ""}});
}

TEST_CASE("Replica stops at another store and at an older state of its store", "[sync][replica]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall()};
    for (int i = 0; i < 5; ++i) {
        REQUIRE(device.replica->edit(AddElement<std::string>{std::to_string(i), "v"}));
    }
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    const ReplicaView before = device.view();
    const bool is_older = GENERATE(false, true);
    rig.store =
        is_older ? Memory{MemoryStoreOptions{.id = rig.store.changes_since("s", {}, 1)->next.store}}
                 : Memory{};
    REQUIRE(device.replica->edit(UpdateElement<std::string>{"1", "mine"}));
    const auto report = device.replica->sync(rig.server);
    CHECK(report.error == SyncErrc::other_store);
    CHECK(rig.contents().empty());  // no edit went to it
    CHECK(device.view().size() == before.size());
    device.options.other_store = ReplicaOptions::OtherStore::copies;
    REQUIRE(device.start());
    const auto second = device.replica->sync(rig.server);
    CHECK_FALSE(second.error);
    CHECK(second.replaced.size() == 5);  // with the contents that the server has lost
    CHECK(rig.contents() == ReplicaView{{"1", "mine"}});
    CHECK(device.view() == rig.contents());
}

TEST_CASE("Replica reports its edit that a restored store replaces by its version before",
          "[sync][replica][regression]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall(), {.other_store = ReplicaOptions::OtherStore::copies}};
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    const Ops backup = rig.server.batches.at(0);
    REQUIRE(device.replica->edit(UpdateElement<std::string>{"a", "2"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    rig.store = Memory{};
    REQUIRE(rig.processor.process_batch("s", backup).success);
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(device.view() == ReplicaView{{"a", "1"}});
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "2");
    CHECK(report.replaced[0].now.value == "1");
}

TEST_CASE("Replica sends to another store what the former one had applied in a failed sync",
          "[sync][replica][regression]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall(), {.other_store = ReplicaOptions::OtherStore::copies}};
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    REQUIRE(device.replica->edit(UpdateElement<std::string>{"a", "2"}));
    rig.server.lose_in = 5;  // the request after the batch
    CHECK(device.replica->sync(rig.server).error == SyncErrc::unanswered);
    REQUIRE(rig.contents() == ReplicaView{{"a", "2"}});
    rig.store = Memory{};
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(rig.contents() == ReplicaView{{"a", "2"}});
    CHECK(device.view() == rig.contents());
    CHECK(device.replica->waiting() == 0);
}

TEST_CASE("Replica takes another store's version that has the same stamp",
          "[sync][replica][regression]") {
    ReplicaServerRig rig;
    Device<> device{1, rig.wall(), {.other_store = ReplicaOptions::OtherStore::copies}};
    // A restored store may give a stamp a second time: one above the version that is replaced.
    const Stamp stamp_of_both = stamp(7);
    REQUIRE(rig.processor.process_batch("s", Ops{add("a", "1", stamp_of_both)}).success);
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    rig.store = Memory{};
    REQUIRE(rig.processor.process_batch("s", Ops{add("a", "2", stamp_of_both)}).success);
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    CHECK(device.view() == ReplicaView{{"a", "2"}});
}

TEST_CASE("Replica copies everything from a store that lists no changes, and reports it",
          "[sync][replica]") {
    WallTime time{1h};
    MapStore store;
    SyncProcessor<std::reference_wrapper<MapStore>, LastWriteWins, NoObserver, SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    Device<> laptop{2, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"b", "1"}));
    CHECK(phone.replica->sync(processor).copied);
    CHECK(laptop.replica->sync(processor).copied);
    REQUIRE(laptop.replica->edit(RemoveElement{"a"}));
    CHECK_FALSE(laptop.replica->sync(processor).error);
    const auto report = phone.replica->sync(processor);
    CHECK(report.copied);
    CHECK(report.replaced.size() == 1);
    CHECK(phone.view() == ReplicaView{{"b", "1"}});
}

namespace {

/// Devices, a server, and every edit that a device has confirmed as durable.
struct ReplicaWorld {
    explicit ReplicaWorld(std::uint64_t seed, std::size_t count) : bits{Seed{seed}} {
        for (std::size_t i = 0; i < count; ++i) {
            // One clock in three is wrong by up to two hours.
            const Duration wrong =
                any(3) == 0 ? Duration{1min} * (static_cast<int>(any(240)) - 120) : Duration{};
            devices.push_back(std::make_unique<Device<>>(
                seed * 10 + i + 1, rig.wall(wrong),
                ReplicaOptions{.batch_operations = 1 + any(4), .clock = {.skew_max = 1min}}));
        }
    }
    std::uint64_t any(std::uint64_t below) { return uniform_upto(bits, below - 1); }

    void edit(Device<>& device) {
        const std::string element{static_cast<char>('a' + any(3))};
        const std::string text = std::to_string(++texts);
        Operation<std::string>::Action action = RemoveElement{element};
        if (any(4) != 0) action = UpdateElement<std::string>{element, text};
        if (any(4) == 0) action = AddElement<std::string>{element, text};
        const auto id = device.replica->edit(action);
        if (id) durable.insert(*id);
    }
    void sync(Device<>& device) {
        const auto report = device.replica->sync(rig.server, [&](const auto& r) { read(r); });
        static_cast<void>(report);
        note_sent();
    }
    void read(const Device<>::Replica::Report& report) {
        for (const auto& one : report.conflicts) reported.insert(one.operation.stamp);
        for (const auto& one : report.overwrote) reported.insert(one.replaced.stamp);
        for (const auto& one : report.kept) reported.insert(one.operation.stamp);
        for (const auto& one : report.replaced) reported.insert(one.mine.stamp);
    }
    void note_sent() {
        for (const Ops& batch : rig.server.batches) {
            for (const Op& one : batch) sent[one.id] = one;
        }
        rig.server.batches.clear();
    }
    void step() {
        Device<>& device = *devices[any(devices.size())];
        rig.time += 1ms * static_cast<int>(any(5'000));
        rig.server.lose_in = any(3) == 0 ? 1 + any(8) : 0;
        device.store.fail_in = any(5) == 0 ? 1 + any(20) : 0;
        if (any(6) == 0) device.disk.halt_at(device.disk.operations() + 1 + any(12));
        if (any(2) == 0) {
            edit(device);
        } else {
            sync(device);
        }
        device.store.fail_in = 0;
        if (device.journal->failed() || any(8) == 0) {
            device.disk.crash(bits);
            REQUIRE(device.start());
        }
    }
    /// Ends all faults, and waits until the error of every clock has passed.
    void settle() {
        rig.server.lose_in = 0;
        rig.time += 5h;
        for (int round = 0; round < 3; ++round) {
            for (const auto& device : devices) {
                device->disk.crash(bits);
                REQUIRE(device->start());
                const auto report =
                    device->replica->sync(rig.server, [&](const auto& r) { read(r); });
                REQUIRE_FALSE(report.error);
                note_sent();
            }
        }
    }
    void verify() {
        for (const auto& device : devices) {
            CHECK(device->replica->waiting() == 0);
            CHECK(device->view() == rig.contents());
        }
        std::set<Stamp> ends;
        for (const char* const element : {"a", "b", "c"}) {
            ends.insert(rig.store.find({"s", element})->stamp);
        }
        for (const auto& [id, one] : sent) ends.insert(*one.saw);
        ends.insert(reported.begin(), reported.end());
        for (const Id& id : durable) {
            CHECK((sent.count(id) != 0 && is_accounted_for(sent[id], ends)));
        }
    }
    /// Whether an edit is in the end state, or a later author saw it, or a report contains it. Two
    /// removals are one state, which has the later stamp.
    bool is_accounted_for(const Op& edit, const std::set<Stamp>& ends) const {
        if (ends.count(edit.stamp) != 0) return true;
        if (edit.kind() != OperationKind::remove) return false;
        return std::any_of(sent.begin(), sent.end(), [&](const auto& one) {
            const Op& other = one.second;
            return other.kind() == OperationKind::remove && other.element() == edit.element() &&
                   edit.stamp < other.stamp && ends.count(other.stamp) != 0;
        });
    }

    ReplicaServerRig rig{};
    Random bits;
    std::vector<std::unique_ptr<Device<>>> devices{};
    std::set<Id> durable{};
    std::map<Id, Op> sent{};
    std::set<Stamp> reported{};
    std::uint64_t texts = 0;
};

}  // namespace

TEST_CASE("Replica accounts for every edit in worlds of two and three devices",
          "[sync][replica][sim]") {
    const std::uint64_t last = histories(300);
    for (std::uint64_t seed = 1; seed <= last; ++seed) {
        INFO("seed " << seed);
        ReplicaWorld world{seed, 2 + seed % 2};
        for (int i = 0; i < 60; ++i) world.step();
        world.settle();
        world.verify();
    }
}
