// SPDX-License-Identifier: MIT
// Goal: a Replica loses no edit to a server that rejects, throws or is full, and no edit stops the
// others. Method: cases between both, with hooks that call the replica.
#include <belay/sync/replica.hpp>

#include <set>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using RefusedAdd = AddElement<std::string>;
using RefusedUpdate = UpdateElement<std::string>;

template <class Strategy = LastWriteWins>
struct RefusingRig {
    explicit RefusingRig(MemoryStoreOptions options = {}, SyncOptions limits = {})
        : store{options}, processor{std::ref(store), Strategy{}, limits, {}, SharedWall{&time}} {}

    WallTime time{1h};
    Memory store;
    SyncProcessor<std::reference_wrapper<Memory>, Strategy, NoObserver, SharedWall> processor;
    LossyServer<decltype(processor)> server{processor};
};

/// A server that rejects the edits of the element "x" in one of several ways.
template <class Server>
struct OneWayServer {
    enum class Way { ends, keeps, keeps_for, retries, pends, send, changes };

    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        if (way == Way::send) return error;
        Ops taken;
        Ops refused;
        for (const Op& op : batch) {
            const bool refuses =
                way && op.element() == "x" && (way != Way::ends || op.kind() == OperationKind::add);
            (refuses ? refused : taken).push_back(op);
        }
        auto result = server.send(taken);
        for (std::size_t i = 0; i < refused.size(); ++i) {
            result->success = false;
            if (way == Way::pends) {
                ++result->conflict_count;
                result->conflicts.push_back({refused[i], ElementNotFound{}, false});
                continue;
            }
            ++result->failed_count;
            result->failed_operations.push_back({refused[i],
                                                 i == 0 ? error : SyncErrc::held_back,
                                                 way != Way::ends,
                                                 {},
                                                 way == Way::keeps || way == Way::keeps_for});
            if (way == Way::keeps_for) result->failed_operations.back().wait = 10min;
        }
        return result;
    }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        if (way == Way::changes) return error;
        return server.changes(since);
    }

    Server& server;
    std::optional<Way> way{};
    std::error_code error{};
};

/// A server whose n-th call of send throws.
template <class Server>
struct ThrowingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        if (throw_in != 0 && --throw_in == 0) throw 1;
        return server.send(batch);
    }
    auto changes(const part::StoreCursor& since) { return server.changes(since); }
    Server& server;
    int throw_in = 0;
};

/// A server that answers the n-th batch with an error.
template <class Server>
struct UnansweredOnce {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        if (unanswered != 0 && --unanswered == 0) return SyncErrc::unanswered;
        return server.send(batch);
    }
    auto changes(const part::StoreCursor& since) { return server.changes(since); }
    Server& server;
    int unanswered = 0;
};

/// A server whose answer to the next batch is lost, and answers to later requests.
template <class Server>
struct AnswersLost {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = server.send(batch);
        if (batch_lost) return SyncErrc::unanswered;
        return result;
    }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        auto page = server.changes(since);
        if (changes_lost && --changes_lost == 0) return SyncErrc::unanswered;
        return page;
    }
    Server& server;
    bool batch_lost = false;
    int changes_lost = 0;  // the number of the request, from 1; 0: none
};

}  // namespace

TEST_CASE("Replica::sync continues with other elements when the server's store is full for one",
          "[sync][replica]") {
    RefusingRig<> rig{{.elements_max = 1}};
    Device<> device{1, {&rig.time}, {.batch_operations = 1}};
    REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    const auto full = device.replica->edit(RefusedAdd{"b", "1"});
    REQUIRE(full);
    REQUIRE(device.replica->edit(RefusedUpdate{"b", "2"}));
    REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    const auto report = device.replica->sync(rig.server);
    CHECK(report.synced == 1);
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::store_full);
    CHECK(report.kept[0].retryable);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    CHECK(device.replica->waiting() == 2);
    CHECK(device.view()["b"] == "2");
    // The application may drop the edit, and then the later one is sent.
    CHECK_FALSE(device.replica->drop(*full));
    CHECK(device.replica->kept().size() == 1);
}

TEST_CASE("Replica has every edit after every error, and the page's rule for the error ends it",
          "[sync][replica]") {
    using Rig = RefusingRig<>;
    using Way = OneWayServer<decltype(Rig::server)>::Way;
    for (const std::error_code& error : every_error()) {
        for (const Way way : {Way::ends, Way::keeps, Way::keeps_for, Way::retries, Way::pends,
                              Way::send, Way::changes}) {
            for (const bool drops : {false, true}) {
                INFO(error.message() << " in way " << static_cast<int>(way) << ", " << drops);
                Rig rig;
                OneWayServer<decltype(rig.server)> server{rig.server, way, error};
                Device<> device{1, {&rig.time}};
                REQUIRE(device.replica->edit(RefusedAdd{"x", "1"}));
                REQUIRE(device.replica->edit(RefusedUpdate{"x", "2"}));
                REQUIRE(device.replica->edit(RefusedAdd{"y", "1"}));
                const auto report = device.replica->sync(server);
                const bool is_heard = way != Way::send && way != Way::changes;
                for (const bool restarts : {false, true}) {
                    if (restarts) REQUIRE(device.start());
                    // After a restart, "y" waits again if it is behind a waiting "x" in the journal.
                    const std::size_t accounted = report.synced + device.replica->waiting();
                    CHECK((accounted == 3 || (restarts && accounted == 4)));
                    CHECK(device.view() == ReplicaView{{"x", "2"}, {"y", "1"}});
                    const auto kept = device.replica->kept();
                    REQUIRE(kept.size() == report.kept.size());
                    for (std::size_t i = 0; i < kept.size(); ++i) {
                        CHECK(kept[i].error == report.kept[i].error);
                        CHECK(kept[i].retryable == report.kept[i].retryable);
                    }
                }
                // Each rejected edit is listed, or the error is reported. Only edits of "x" are
                // affected.
                CHECK((!report.kept.empty() || report.error));
                CHECK(report.synced == (!is_heard ? 0 : way == Way::ends ? 2 : 1));
                server.way.reset();
                static_cast<void>(device.replica->sync(server));
                // Edits that still wait are those that the application must decide.
                const auto kept = device.replica->kept();
                CHECK((kept.empty() || way == Way::ends || kept[0].error == SyncErrc::too_old));
                for (const auto& one : kept) {
                    if (drops) {
                        CHECK_FALSE(device.replica->drop(one.operation.id));
                    } else {
                        CHECK(device.replica->send_again(one.operation.id));
                    }
                }
                CHECK_FALSE(device.replica->sync(server).error);
                CHECK(device.replica->waiting() == 0);
                const bool gave_up = drops && kept.size() == 2;
                CHECK(*rig.store.read({"s", "y"}).value() == "1");
                CHECK(rig.store.read({"s", "x"}).value().value_or("none") ==
                      (gave_up ? "none" : "2"));
            }
        }
    }
}

TEST_CASE("A note of the clock that the log rejects is due again", "[sync][replica][fault]") {
    struct Log {
        std::error_code error = std::make_error_code(std::errc::no_space_on_device);
        int kept = 0;
        std::error_code keep(BytesView) { return error ? error : (++kept, error); }
    };
    WallTime time{1h};
    HybridClock clock{Id{std::byte{1}}, SharedWall{&time}};
    static_cast<void>(clock.stamp());
    Log log;
    CHECK(belay::detail::keep_note(log, clock) == std::errc::no_space_on_device);
    CHECK(clock.note_is_due());
    log.error = {};
    CHECK_FALSE(belay::detail::keep_note(log, clock));
    CHECK_FALSE(clock.note_is_due());
    CHECK(log.kept == 1);
}

TEST_CASE("Replica::edit on a full disk returns its error, and loses no confirmed edit",
          "[sync][replica][fault]") {
    for (std::uint64_t at = 1; at <= 6; ++at) {
        for (const bool stays_full : {false, true}) {
            RefusingRig<> rig;
            Device<> device{1, {&rig.time}};
            REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
            if (stays_full) {
                device.disk.fill_at(device.disk.operations() + at);
            } else {
                device.disk.fail_at(device.disk.operations() + at,
                                    std::make_error_code(std::errc::no_space_on_device));
            }
            std::set<std::string> confirmed{"a"};
            std::size_t refused = 0;
            for (int i = 0; i < 200; ++i) {
                const std::string name = "b" + std::to_string(i);
                const std::size_t before = device.replica->waiting();
                const auto id = device.replica->edit(RefusedAdd{name, std::string(700, 'x')});
                const bool is_taken = device.replica->waiting() != before;
                CHECK(is_taken == device.replica->read(name).value().has_value());
                if (id) confirmed.insert(name);
                if (!id) CHECK(id.error() == std::errc::no_space_on_device);
                refused += id ? 0U : 1U;
            }
            CHECK((!stays_full || refused != 0));
            for (const std::string& name : confirmed) CHECK(device.view().count(name) == 1);
            // There is space again. An edit that is visible, although it returned an error, becomes
            // durable with the next one.
            device.disk.limit_bytes(~std::uint64_t{0});
            // After a failed flush, a journal must be opened again.
            const bool is_failed = static_cast<bool>(device.journal->failed());
            CHECK((!stays_full || !is_failed));
            if (is_failed) REQUIRE(device.start());
            REQUIRE(device.replica->edit(RefusedAdd{"c", "1"}));
            for (const std::string& name : confirmed) CHECK(device.view().count(name) == 1);
            const ReplicaView shown = device.view();
            Random bits{Seed{at}};
            device.disk.crash(bits);
            REQUIRE(device.start());
            CHECK(device.view() == shown);
            REQUIRE_FALSE(device.replica->sync(rig.server).error);
            CHECK(device.replica->waiting() == 0);
            CHECK(device.view() == shown);
            for (const auto& [name, text] : shown) {
                CHECK(*rig.store.read({"s", name}).value() == text);
            }
        }
    }
}

TEST_CASE("Replica: two devices with one id become equal", "[sync][replica][sim]") {
    for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const auto any = [&](std::uint64_t below) { return uniform_upto(bits, below - 1); };
            RefusingRig<> rig;
            // Copies of one journal. With equal seeds the ids of their edits are the same, too.
            Device<> devices[2]{{1, {&rig.time}}, {1, {&rig.time}}};
            REQUIRE(devices[0].journal->journal_id() == devices[1].journal->journal_id());
            if (any(2) == 0) REQUIRE(devices[1].start());
            for (int step = 0; step < 30; ++step) {
                Device<>& device = devices[any(2)];
                rig.time += 1ms * static_cast<int>(any(3));
                const std::string name(1, static_cast<char>('a' + any(3)));
                const std::string text = std::to_string(step);
                Op::Action action = RefusedAdd{name, text};
                if (any(3) == 0) action = RefusedUpdate{name, text};
                if (any(4) == 0) action = RemoveElement{name};
                if (any(2) == 0) {
                    REQUIRE(device.replica->edit(action));
                } else {
                    REQUIRE_FALSE(device.replica->sync(rig.server).error);
                }
            }
            for (int round = 0; round < 3; ++round) {
                for (Device<>& device : devices) {
                    REQUIRE_FALSE(device.replica->sync(rig.server).error);
                    for (const auto& one : device.replica->kept()) {
                        REQUIRE(one.error == SyncErrc::id_reused);
                        REQUIRE_FALSE(device.replica->drop(one.operation.id));
                    }
                }
            }
            ReplicaView contents;
            rig.store.for_each("s", [&](std::string_view id, const std::string& text,
                                        const Stamp&) { contents[std::string{id}] = text; });
            for (Device<>& device : devices) {
                REQUIRE(device.replica->waiting() == 0);
                REQUIRE(device.view() == contents);
            }
        },
        histories(500));
}

TEST_CASE("Replica::send_again sends an edit that was too old as a new one",
          "[sync][replica][regression]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}};
    const auto add = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(add);
    REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    // The device was offline for longer than the server keeps tombstones.
    rig.time += 24h * 40;
    REQUIRE_FALSE(rig.store.expire(rig.time));
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(device.replica->kept().size() == 2);
    CHECK(device.replica->kept()[0].error == SyncErrc::too_old);
    // The edit waits for a decision of the application.
    CHECK(device.replica->sync(rig.server).kept.empty());
    CHECK(device.replica->kept().size() == 2);
    REQUIRE(device.replica->send_again(*add));
    const auto second = device.replica->sync(rig.server);
    CHECK_FALSE(second.error);
    CHECK(second.kept.empty());
    CHECK(second.synced == 1);  // an edit with the last of the values
    CHECK(device.replica->waiting() == 0);
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
}

TEST_CASE("a crash while an edit that was too old becomes a new one loses no edit",
          "[sync][replica][fault]") {
    bool whole = false;
    for (std::uint64_t halt = 1; !whole && halt < 100; ++halt) {
        CAPTURE(halt);
        RefusingRig<> rig;
        Device<> device{1, {&rig.time}};
        REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
        REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
        REQUIRE(device.replica->edit(RefusedUpdate{"a", "3"}));
        rig.time += 24h * 40;
        REQUIRE_FALSE(rig.store.expire(rig.time));
        REQUIRE_FALSE(device.replica->sync(rig.server).error);
        const auto send_again = [&] {
            const auto kept = device.replica->kept();
            if (!kept.empty()) CHECK(device.replica->send_again(kept[0].operation.id));
            return device.replica->sync(rig.server);
        };
        device.disk.halt_at(device.disk.operations() + halt);
        const auto first = send_again();
        whole = !device.journal->failed() && !first.error;
        device.disk.crash(Random{Seed{halt}});
        REQUIRE(device.start());
        CHECK(device.view() == ReplicaView{{"a", "3"}});
        for (int i = 0; i < 3; ++i) CHECK_FALSE(send_again().error);
        CHECK(device.replica->waiting() == 0);
        CHECK(*rig.store.read({"s", "a"}).value() == "3");
    }
    CHECK(whole);
}

TEST_CASE("Replica::sync reports a conflict again after the server has thrown", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}, {.batch_operations = 1}};
    Device<> laptop{2, {&rig.time, 1min}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 2};
    SECTION("in a later batch") { CHECK_THROWS(phone.replica->sync(server)); }
    SECTION("in the function that reads the report") {
        server.throw_in = 0;
        CHECK_THROWS(phone.replica->sync(server, [](const auto& report) {
            CHECK(report.conflicts.size() == 1);
            throw 1;
        }));
    }
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.conflicts.size() == 1);
    CHECK(report.conflicts[0].operation.value() == "phone");
    CHECK(phone.replica->waiting() == 0);
}

TEST_CASE("Replica accepts edits after it has dropped one that was kept when the server threw",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}, {.batch_operations = 1}};
    rig.server.is_full = true;
    const auto id = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(id);
    REQUIRE(device.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 2};
    CHECK_THROWS(device.replica->sync(server));
    CHECK(device.replica->kept().size() == 1);
    CHECK_FALSE(device.replica->drop(*id));
    CHECK(device.replica->edit(RefusedAdd{"c", "1"}));
}

TEST_CASE("Replica::drop drops an edit, also if it is durable only later", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}};
    rig.server.is_full = true;
    const auto id = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(id);
    REQUIRE(device.replica->edit(RefusedAdd{"b", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    device.disk.fail_at(device.disk.operations() + 1,
                        std::make_error_code(std::errc::no_space_on_device));
    CHECK(device.replica->drop(*id));
    CHECK(device.replica->kept().size() == 1);
    CHECK(device.replica->drop(*id) == QueueErrc::unknown_number);
    SECTION("after the next edit") { CHECK(device.replica->edit(RefusedAdd{"c", "1"})); }
    SECTION("after the next sync") { CHECK_FALSE(device.replica->sync(rig.server).error); }
    CHECK(device.view().count("a") == 0);
    const std::size_t waiting = device.replica->waiting();
    REQUIRE(device.start());
    CHECK(device.view().count("a") == 0);
    CHECK(device.replica->waiting() == waiting);
}

TEST_CASE("Replica::edit in the function that reads the report changes what the server has",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time, 1min}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    const auto report = phone.replica->sync(rig.server, [&](const auto& r) {
        REQUIRE(r.conflicts.size() == 1);
        CHECK(*phone.replica->read("a") == "laptop");
        REQUIRE(phone.replica->edit(RefusedUpdate{"a", "both"}));
    });
    CHECK_FALSE(report.error);
    const auto second = phone.replica->sync(rig.server);
    CHECK(second.overwrote.empty());
    CHECK(second.conflicts.empty());
    CHECK(*rig.store.read({"s", "a"}).value() == "both");
}

TEST_CASE("Replica::edit during a sync stays after a kept edit of its element", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}};
    rig.server.is_full = true;
    REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
    const auto report = device.replica->sync(rig.server, [&](const auto& r) {
        REQUIRE(r.kept.size() == 1);
        REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    });
    CHECK_FALSE(report.error);
    CHECK(device.view()["a"] == "2");
    REQUIRE(device.start());
    CHECK(device.view()["a"] == "2");
    rig.server.is_full = false;
    CHECK(device.replica->sync(rig.server).conflicts.empty());
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
}

TEST_CASE("Replica::sync keeps no interaction because of a kept edit of its element",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}, {.batch_operations = 1}};
    OneWayServer<decltype(rig.server)> refusing{rig.server};
    refusing.way = decltype(refusing)::Way::keeps;
    refusing.error = SyncErrc::store_full;
    UnansweredOnce<decltype(refusing)> server{refusing, 2};
    REQUIRE(device.replica->edit(RefusedAdd{"x", "1"}));
    REQUIRE(device.replica->edit(RefusedAdd{"y", "1"}));
    REQUIRE(device.replica->edit(Interaction{"x", "tap"}));
    // The sync ends before the interaction, which does not wait for an edit.
    const auto report = device.replica->sync(server);
    CHECK(report.error == SyncErrc::unanswered);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept.front().operation.element() == "x");
    CHECK(device.replica->kept().size() == 1);
}

TEST_CASE("Replica::sync reports as replaced only what others replaced", "[sync][replica]") {
    RefusingRig<RemoteWins> rig;
    Device<> phone{1, {&rig.time, -1min}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    const auto report = phone.replica->sync(rig.server);  // with a stamp above that of the laptop
    CHECK(report.overwrote.size() == 1);
    REQUIRE(report.replaced.size() == 1);  // the first version, which the laptop had seen
    CHECK(report.replaced[0].mine.value == "1");
    CHECK(phone.view()["a"] == "phone");
}

TEST_CASE("Replica adds an element again that it has removed, from a store without changes",
          "[sync][replica]") {
    WallTime time{1h};
    MapStore store;
    SyncProcessor<std::reference_wrapper<MapStore>, LocalWins, NoObserver, SharedWall> processor{
        std::ref(store), LocalWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "2"}));
    const auto report = phone.replica->sync(processor);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("Replica reports a version once that a copy does not have any more", "[sync][replica]") {
    WallTime time{1h};
    MapStore store;
    SyncProcessor<std::reference_wrapper<MapStore>, LastWriteWins, NoObserver, SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    Device<> laptop{2, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    REQUIRE(laptop.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    CHECK(phone.replica->sync(processor).replaced.size() == 1);
    REQUIRE(laptop.replica->edit(RefusedAdd{"a", "2"}));
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    CHECK(phone.replica->sync(processor).replaced.empty());
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("Replica reports an edit that others have removed before its result was here",
          "[sync][replica][regression]") {
    WallTime time{1h};
    MapStore store;  // lists no changes, so a device receives copies, which have no removals
    SyncProcessor<std::reference_wrapper<MapStore>, LastWriteWins, NoObserver, SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    detail::ProcessorServer<decltype(processor)> in_process{processor, "s", 100};
    AnswersLost<decltype(in_process)> server{in_process};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    Device<> laptop{2, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "2"}));
    server.batch_lost = true;
    // If the second answer is lost, the result has not arrived. If the third one is lost, it has.
    server.changes_lost = GENERATE(2, 3);
    REQUIRE(phone.replica->sync(server).error);
    server.batch_lost = false;
    server.changes_lost = 0;
    time += 1min;
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    REQUIRE(laptop.view()["a"] == "2");
    REQUIRE(laptop.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    const auto report = phone.replica->sync(server);
    REQUIRE_FALSE(report.error);
    CHECK(phone.view().count("a") == 0);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "2");
    CHECK_FALSE(report.replaced[0].now.value);
    CHECK(phone.replica->sync(server).replaced.empty());
}

TEST_CASE("Replica::sync reports a replaced version again after the server has thrown",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "2"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 1};
    CHECK_THROWS(phone.replica->sync(server));
    const auto report = phone.replica->sync(server);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "1");
    CHECK(phone.replica->sync(server).replaced.empty());
}

TEST_CASE("Replica reports a replaced version after a crash until a report was read",
          "[sync][replica][regression]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "2"}));
    REQUIRE(laptop.replica->edit(RemoveElement{"b"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    struct Ends {};
    const bool has_edit = GENERATE(false, true);
    if (has_edit) REQUIRE(phone.replica->edit(RefusedAdd{"c", "1"}));
    for (int crash = 0; crash < 2; ++crash) {
        rig.server.lose_in = has_edit ? 3 : 0;  // the batch
        CHECK_THROWS_AS(phone.replica->sync(rig.server, [](const auto&) { throw Ends{}; }), Ends);
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
    }
    rig.server.lose_in = has_edit ? 3 : 0;
    const auto report = phone.replica->sync(rig.server);
    REQUIRE(report.replaced.size() == 2);
    for (const auto& one : report.replaced) {
        CHECK(one.mine.value == "1");
        CHECK(one.now.value ==
              (one.mine.id == "a" ? std::optional{std::string{"2"}} : std::nullopt));
        CHECK(one.now.id == one.mine.id);
    }
    CHECK(phone.replica->waiting() == (has_edit ? 1 : 0));
    // This report was read.
    phone.disk.crash(Random{Seed{2}});
    REQUIRE(phone.start());
    CHECK(phone.replica->sync(rig.server).replaced.empty());
    CHECK(phone.replica->waiting() == 0);
    CHECK(phone.journal->size() == 0);
}

TEST_CASE("Replica::sync continues if its journal has no bytes for a replaced version",
          "[sync][replica][bad_input]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Op own = add("a", std::string(2000, 'x'), stamp(5));  // longer than a record
    own.stamp.origin = phone.journal->journal_id();
    REQUIRE(rig.processor.process_batch("s", Ops{own}).success);
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(rig.processor.process_batch("s", Ops{update("a", "2", stamp(6, 9))}).success);
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.replaced.size() == 1);
    CHECK(phone.view() == std::map<std::string, std::string>{{"a", "2"}});
}

TEST_CASE("Replica::sync refuses a page whose cursor goes back or into another store",
          "[sync][replica]") {
    using Page = part::ChangesPage<std::string>;
    struct Wrong {
        Result<SyncResult<Op>> send(std::span<const Op>) { return SyncErrc::unanswered; }
        Result<Page> changes(const part::StoreCursor&) {
            if (asked == pages.size()) return SyncErrc::store_busy;
            return pages[asked++];
        }
        std::vector<Page> pages{};
        std::size_t asked = 0;
    };
    const auto page = [](std::uint64_t store, std::uint64_t changes, bool begins_copy) {
        Page made{{{"e" + std::to_string(changes), stamp(static_cast<std::int64_t>(changes)), "v"}},
                  {},
                  begins_copy,
                  true};
        made.next = {id_of(store), changes, changes};
        return made;
    };
    const std::vector<std::vector<Page>> histories{
        {page(7, 5, false)},                                      // a first page of no copy
        {page(7, 5, true), page(8, 6, false)},                    // of another store
        {page(7, 5, true), page(7, 6, false), page(7, 5, false)}  // back
    };
    const WallTime time{1h};
    for (std::size_t i = 0; i < histories.size(); ++i) {
        CAPTURE(i);
        Device<> phone{1, {&time}};
        Wrong server{histories[i]};
        CHECK(phone.replica->sync(server).error == SyncErrc::store_disagrees);
        CHECK(server.asked == histories[i].size());
    }
}
