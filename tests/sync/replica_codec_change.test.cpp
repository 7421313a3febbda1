// SPDX-License-Identifier: MIT
// Goal: an edit whose value the codec of a later program rejects holds back only the later edits of
// its element. Method: a device whose codec rejects or reads values by their first letter, on one
// simulated disk, before and after updates of the program.
#include <belay/sync/replica.hpp>

#include <stdexcept>
#include <string>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct UpdatedDevice {
    using Replica = belay::Replica<ChangedCodec, std::reference_wrapper<ReplicaJournal>,
                                   std::reference_wrapper<Memory>, SharedWall>;
    using Edit = FailedOperation<Op>;

    UpdatedDevice() { start({}); }
    /// Starts the program again, with another codec.
    void start(ChangedCodec codec) {
        replica.reset();
        journal.reset();
        auto opened = ReplicaJournal::open(
            disk, "device", {.segment_bytes = 4 << 10, .record_bytes_max = 500, .seed = Seed{7}});
        REQUIRE(opened);
        journal.emplace(std::move(*opened));
        options.session = "s";
        options.seed = Seed{100 + journal->run()};
        replica.emplace(std::ref(*journal), std::ref(copy), std::move(codec), options,
                        SharedWall{&time});
        const std::error_code loaded = replica->load();
        REQUIRE_FALSE(loaded);
    }
    Id put(const std::string& element, const std::string& text) {
        time += 1s;
        const auto id = replica->edit(UpdateElement{element, text});
        REQUIRE(id);
        return *id;
    }
    std::string at(const std::string& element) {
        const auto text = replica->read(element);
        REQUIRE(text);
        return text->value_or("(absent)");
    }
    std::string there(const std::string& element) {
        return server_store.read({"s", element}).value().value_or("(absent)");
    }

    WallTime time{1h};
    ReplicaOptions options{};
    sim::Disk disk{};
    Memory copy{};
    Memory server_store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> server{
        std::ref(server_store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    std::optional<ReplicaJournal> journal{};
    std::optional<Replica> replica{};
};

}  // namespace

TEST_CASE("Replica keeps an edit that its codec rejects, and the other elements continue",
          "[sync][replica][unit]") {
    const bool throws = GENERATE(false, true);
    UpdatedDevice device;
    device.put("synced", "old a");
    REQUIRE_FALSE(device.replica->sync(device.server).error);
    const Id id = device.put("one", "old b");
    device.put("other", "new c");
    device.start({"old", throws});

    // The copy is a MemoryStore of typed values, so it still shows the synced one.
    CHECK(device.at("synced") == "old a");
    CHECK(device.at("one") == "(absent)");
    CHECK(device.at("other") == "new c");
    REQUIRE(device.replica->kept().size() == 1);
    const auto kept = device.replica->kept()[0];
    CHECK(kept.error == SyncErrc::unreadable);
    CHECK_FALSE(kept.retryable);
    CHECK(kept.operation.id == id);
    CHECK(kept.operation.element() == "one");
    CHECK(kept.operation.kind() == OperationKind::interaction);  // making it again changes nothing
    CHECK_FALSE(device.replica->send_again(id));

    device.put("later", "new d");
    auto report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 2);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0] == kept);
    CHECK(device.there("later") == "new d");
    CHECK(device.there("one") == "(absent)");
    CHECK(device.replica->waiting() == 1);
    // It is reported once, also after a restart of the same program.
    CHECK(device.replica->sync(device.server).kept.empty());
    device.start({"old", throws});
    CHECK(device.replica->sync(device.server).kept.empty());
    REQUIRE(device.replica->kept().size() == 1);
    CHECK(device.replica->kept()[0] == kept);

    device.start({});
    CHECK(device.at("one") == "old b");
    CHECK(device.replica->kept().empty());
    report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 1);
    CHECK(device.there("one") == "old b");
    CHECK(device.replica->waiting() == 0);
}

TEST_CASE("Replica reports an edit that its codec rejects if nothing else is to be sent",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    device.put("one", "old b");
    device.start({"old"});
    CHECK(device.replica->sync(device.server).kept.size() == 1);
    CHECK(device.replica->sync(device.server).kept.empty());
}

TEST_CASE("Replica::drop ends an edit that its codec rejects, and sends what it held back",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    const Id first = device.put("one", "old b");
    const Id second = device.put("one", "old c");
    device.start({"old"});
    const Id third = device.put("one", "new d");
    CHECK(device.at("one") == "new d");
    auto report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.kept.size() == 3);
    CHECK(device.there("one") == "(absent)");
    CHECK(device.at("one") == "new d");
    const bool restarts = GENERATE(false, true);
    if (restarts) device.start({"old"});
    CHECK_FALSE(device.replica->drop(first));
    CHECK(device.replica->sync(device.server).synced == 0);
    CHECK_FALSE(device.replica->drop(second));
    CHECK(device.replica->drop(second) == QueueErrc::unknown_number);
    if (restarts) device.start({"old"});
    report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 1);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());  // its author saw neither of the dropped ones
    CHECK(device.there("one") == "new d");
    CHECK(device.replica->waiting() == 0);
    CHECK(third != second);
}

TEST_CASE("Replica sends the edits of an element in their order when a later codec reads them",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    device.options.adds_base = false;  // else the last one has the value of the one before
    device.start({});
    device.put("one", "new a");
    device.put("one", "old b");
    device.put("one", "new c");
    device.start({"old"});
    CHECK(device.at("one") == "new c");
    CHECK_FALSE(device.replica->sync(device.server).error);
    CHECK(device.there("one") == "new a");
    device.put("two", "new x");  // moves the kept ones away from the front of the journal
    CHECK_FALSE(device.replica->sync(device.server).error);
    device.start({});
    const auto report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 2);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(device.there("one") == "new c");
}

TEST_CASE("Replica accepts edits while more than kept_max edits cannot be read",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    device.options.kept_max = 3;
    for (int i = 0; i < 5; ++i) device.put("e" + std::to_string(i), "old");
    device.start({"old"});
    CHECK_FALSE(device.replica->sync(device.server).error);
    CHECK(device.replica->kept().size() == 5);
    device.put("another", "new");
    CHECK(device.replica->sync(device.server).synced == 1);
}

TEST_CASE("Replica stamps an edit anew that its codec rejects, after one that was ahead",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    const WallTime now = device.time;
    device.time += 24h;
    device.put("one", "new a");
    device.put("one", "old b");
    device.time = now;
    device.start({"old"});
    auto report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 1);
    CHECK(device.there("one") == "new a");
    REQUIRE(device.replica->kept().size() == 1);
    CHECK(device.replica->kept()[0].error == SyncErrc::unreadable);
    device.start({});
    report = device.replica->sync(device.server);
    CHECK(report.synced == 1);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(device.there("one") == "old b");
}

TEST_CASE("Replica reports a replaced version that its codec rejects, without its value",
          "[sync][replica][unit]") {
    UpdatedDevice device;
    device.put("one", "old a");
    REQUIRE_FALSE(device.replica->sync(device.server).error);
    device.time += 1s;
    Op other = update("one", "new b", {device.time, 0, id_of(99)});
    REQUIRE(device.server.process_batch("s", {&other, 1}).success);
    // The process ends before it has shown the report.
    try {
        static_cast<void>(device.replica->sync(
            device.server, [](const auto&) { throw std::runtime_error{"ends here"}; }));
        FAIL("the report was read");
    } catch (const std::runtime_error&) {
    }
    device.start({"old"});
    const auto report = device.replica->sync(device.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.id == "one");
    CHECK(report.replaced[0].mine.error == SyncErrc::unreadable);
    CHECK(report.replaced[0].now.value == "new b");
    std::string line;
    report.for_each([&](const auto& entry) {
        line = entry.text([](const std::string& text) { return text; });
    });
    CHECK(line ==
          "one: another device changed your version: unreadable is now \"new b\" (this program "
          "cannot read the value of the edit)");
    CHECK(device.replica->sync(device.server).replaced.empty());
}

TEST_CASE("Replica loses no edit of any order of edits, updates of the program and syncs",
          "[sync][replica][property]") {
    for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const auto any = [&](std::uint64_t below) { return uniform_upto(bits, below - 1); };
            UpdatedDevice device;
            std::map<std::string, std::string> last;
            for (int step = 0; step < 30; ++step) {
                const std::string element = "e" + std::to_string(any(3));
                switch (any(6)) {
                    case 0:
                        device.start({any(2) == 0 ? "old" : "new"});
                        break;
                    case 1:
                        device.start({});
                        break;
                    case 2:
                        REQUIRE_FALSE(device.replica->sync(device.server).error);
                        break;
                    default: {
                        const std::string text =
                            (any(2) == 0 ? "old " : "new ") + std::to_string(step);
                        device.time += 1s;
                        const auto made = device.replica->edit(UpdateElement{element, text});
                        if (made) last[element] = text;
                    }
                }
            }
            device.start({});
            const auto report = device.replica->sync(device.server);
            REQUIRE_FALSE(report.error);
            CHECK(device.replica->waiting() == 0);
            for (const auto& [element, text] : last) {
                CHECK(device.there(element) == text);
                CHECK(device.at(element) == text);
            }
        },
        500);
}
