// SPDX-License-Identifier: MIT
// Goal: a value that the server cannot write, or a device cannot read, holds back no other change,
// is reported, and is replaced by the next edit. Method: devices whose server receives its requests
// as bytes, and a store into which another program wrote.
#include <belay/sync/replica.hpp>

#include <functional>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using PutText = AddElement<std::string>;

struct UnreadableRig : BytesRig<> {
    /// Writes a value without the codec, as another author does.
    void write(const std::string& element, const std::string& text) {
        time += 1s;
        REQUIRE_FALSE(store.add({"s", element}, text, {{time, 0, id_of(99)}, fresh_id(), 0, {}}));
    }
    [[nodiscard]] Device<> device(std::uint64_t number) { return Device<>{number, {&time}}; }
};

/// A server that cannot write one text, and loses answers to requests for changes.
struct UnwritingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = of.send(batch);
        if (result && after_batch) std::exchange(after_batch, nullptr)();
        return result;
    }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        if (lose_in != 0 && --lose_in == 0) return SyncErrc::unanswered;
        auto page = of.changes(since);
        if (!page) return page;
        for (auto& one : page->changes) {
            if (one.value != unwritable) continue;
            one.value.reset();
            one.error = SyncErrc::store_corrupt;
        }
        return page;
    }

    decltype(std::declval<UnreadableRig&>().body()) of;
    std::optional<std::string> unwritable{};
    std::uint64_t lose_in = 0;  // the answer that is lost; 0: none
    std::function<void()> after_batch{};
};

/// A local store with a limit.
struct ShortStore : MapStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        if (value.size() > longest) return SyncErrc::bad_operation;
        return MapStore::add(key, value, mark);
    }
    std::size_t longest = 10;
};

/// The codec of a later program, which reads all values.
struct LaterTextCodec {
    bool encode(const std::string& text, Bytes& into) const {
        return TextCodec{}.encode(text, into);
    }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
/// The later program over the files of a device.
struct LaterProgram {
    using Notes = Replica<LaterTextCodec, std::reference_wrapper<ReplicaJournal>,
                          std::reference_wrapper<MapStore>, SharedWall>;

    explicit LaterProgram(Device<>& device)
        : notes{std::ref(*device.journal), std::ref(device.store), LaterTextCodec{}, device.options,
                device.wall} {
        device.replica.reset();
        REQUIRE_FALSE(notes.load());
    }
    Notes notes;
};
auto later_body(UnreadableRig& rig) {
    return part::RemoteSyncServer<LaterTextCodec, std::reference_wrapper<BytesRig<>>>{
        std::ref<BytesRig<>>(rig), LaterTextCodec{}, {.session = "s"}};
}

template <class Replica, class Server>
auto synced(Replica& replica, Server& server) {
    auto report = replica.sync(server);
    CHECK_FALSE(report.error);
    return report;
}

/// A phone whose edit of "a" the server applied, and then another author wrote a value over it that
/// the server cannot write. The answer with it has arrived, and the one after that was lost.
struct InterruptedPhone {
    /// `was_own`: the version that the edit changed was the phone's, too.
    explicit InterruptedPhone(bool was_own, bool removes = false) {
        if (was_own) {
            REQUIRE(phone.replica->edit(PutText{"a", "1"}));
        } else {
            rig.write("a", "1");
        }
        static_cast<void>(synced(*phone.replica, server));
        if (removes) {
            REQUIRE(phone.replica->edit(RemoveElement{"a"}));
        } else {
            REQUIRE(phone.replica->edit(PutText{"a", "2"}));
        }
        server.after_batch = [this] {
            rig.write("a", "unencodable");
            for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");
        };
        server.lose_in = 3;  // the second page after the batch; the cursor is behind the first one
        CHECK(phone.replica->sync(server).error == SyncErrc::unanswered);
    }
    InterruptedPhone(const InterruptedPhone&) = delete;
    InterruptedPhone& operator=(const InterruptedPhone&) = delete;

    UnreadableRig rig{};
    UnwritingServer server{rig.body()};
    Device<> phone = rig.device(1);
};

}  // namespace

TEST_CASE("a value that cannot be written or read fails alone, and can be read after the next edit",
          "[sync][replica]") {
    const auto [text, error] = GENERATE(std::pair{"unencodable", SyncErrc::store_corrupt},
                                        std::pair{"undecodable", SyncErrc::bad_operation});
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone = rig.device(1);
    Device<> laptop = rig.device(2);
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    static_cast<void>(synced(*laptop.replica, server));
    rig.write("a", text);
    for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");

    for (Device<>* const device : {&phone, &laptop}) {
        const auto report = synced(*device->replica, server);
        REQUIRE(report.unreadable.size() == 1);
        CHECK(report.unreadable[0].id == "a");
        CHECK(report.unreadable[0].error == error);
        CHECK(report.unreadable[0].stamp.origin == id_of(99));
        CHECK(report.received == 6);
        CHECK(device->view().size() == 6);
        CHECK(device->view()["a"] == "1");  // unchanged
        const auto next = synced(*device->replica, server);
        CHECK(next.received == 0);  // the cursor is behind it
        CHECK(next.unreadable.empty());
    }
    // A new device has all but this element, which is not there as a removal, either.
    Device<> tablet = rig.device(3);
    CHECK(synced(*tablet.replica, server).unreadable.size() == 1);
    CHECK(tablet.view().size() == 5);

    REQUIRE(laptop.replica->edit(UpdateElement<std::string>{"a", "3"}));
    const auto mended = synced(*laptop.replica, server);
    CHECK(mended.synced == 1);
    CHECK(mended.conflicts.empty());
    CHECK(mended.unreadable.empty());
    const auto report = synced(*phone.replica, server);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "1");
    CHECK(report.unreadable.empty());
    static_cast<void>(synced(*tablet.replica, server));
    for (Device<>* const device : {&phone, &laptop, &tablet}) CHECK(device->view()["a"] == "3");
}

TEST_CASE("an edit replaces the unreadable value of an element in the same sync",
          "[sync][replica]") {
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone = rig.device(1);
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    rig.write("a", "unencodable");
    rig.time += 1s;
    REQUIRE(phone.replica->edit(PutText{"a", "2"}));
    const auto report = synced(*phone.replica, server);
    CHECK(report.synced == 1);
    CHECK(report.unreadable.empty());
    CHECK(report.replaced.empty());
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("a value that the local store does not take fails alone, and the next edit replaces it",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    auto server = rig.body();
    Device<ShortStore> phone{1, {&rig.time}};
    Device<ShortStore> tablet{2, {&rig.time}};
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    rig.write("a", std::string(20, 'x'));
    rig.write("b", "2");
    REQUIRE(phone.replica->edit(PutText{"c", "3"}));
    for (Device<ShortStore>* const device : {&phone, &tablet}) {
        const auto report = synced(*device->replica, server);
        REQUIRE(report.unreadable.size() == 1);
        CHECK(report.unreadable[0].id == "a");
        CHECK(report.unreadable[0].error == SyncErrc::bad_operation);
        CHECK(report.replaced.empty());
        CHECK(device->view()["b"] == "2");
        CHECK(device->view()["c"] == "3");
        CHECK(synced(*device->replica, server).unreadable.empty());
    }
    CHECK(phone.view()["a"] == "1");
    CHECK(tablet.view().count("a") == 0);
    // The next run of the program may have a larger limit.
    REQUIRE(tablet.start());
    CHECK(synced(*tablet.replica, server).unreadable.size() == 1);
    REQUIRE(phone.start());
    phone.store.longest = 50;
    const auto later = synced(*phone.replica, server);
    CHECK(later.unreadable.empty());
    REQUIRE(later.replaced.size() == 1);
    CHECK(later.replaced[0].mine.value == "1");
    CHECK(phone.view()["a"].size() == 20);

    REQUIRE(tablet.replica->edit(PutText{"a", "4"}));
    const auto mended = synced(*tablet.replica, server);
    CHECK(mended.synced == 1);
    CHECK(mended.overwrote.size() == 1);  // this device had no version
    CHECK(mended.unreadable.empty());
    static_cast<void>(synced(*phone.replica, server));
    CHECK(phone.view()["a"] == "4");
    CHECK(tablet.view()["a"] == "4");
}

TEST_CASE("Replica syncs its own edit that its local store does not take",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    auto server = rig.body();
    Device<ShortStore> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(PutText{"a", std::string(20, 'x')}));
    REQUIRE(phone.replica->edit(PutText{"b", "2"}));
    const auto report = synced(*phone.replica, server);
    CHECK(report.synced == 2);
    CHECK(report.unreadable.size() == 1);
    CHECK(phone.replica->waiting() == 0);
    CHECK(phone.view() == ReplicaView{{"b", "2"}});
    CHECK(rig.store.read({"s", "a"})->value_or("").size() == 20);
}

TEST_CASE("Replica reports its edit in whose place another author put an unreadable value",
          "[sync][replica]") {
    UnreadableRig rig;
    auto body = rig.body();
    Device<> phone = rig.device(1);
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, body));
    REQUIRE(phone.replica->edit(PutText{"a", "2"}));
    // The other author writes between the answer to the batch and the next question.
    struct {
        Result<SyncResult<Op>> send(std::span<const Op> batch) {
            auto result = of.send(batch);
            in.write("a", "unencodable");
            return result;
        }
        Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
            return of.changes(since);
        }
        decltype(body)& of;
        UnreadableRig& in;
    } server{body, rig};
    const auto report = synced(*phone.replica, server);
    CHECK(report.synced == 1);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "2");
    CHECK(report.replaced[0].now.error == SyncErrc::store_corrupt);
    CHECK(report.unreadable.size() == 1);
    CHECK(phone.replica->waiting() == 0);
}

TEST_CASE("Replica keeps its own edit that the server applied and cannot write",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    UnwritingServer server{rig.body(), "2"};
    Device<> phone = rig.device(1);
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    REQUIRE(phone.replica->edit(PutText{"a", "2"}));
    const auto report = synced(*phone.replica, server);
    CHECK(report.synced == 1);
    CHECK(report.replaced.empty());
    CHECK(report.unreadable.empty());
    CHECK(phone.replica->waiting() == 0);
    CHECK(phone.view()["a"] == "2");
    // Another author replaces it as any version of this replica.
    rig.write("a", "3");
    const auto next = synced(*phone.replica, server);
    REQUIRE(next.replaced.size() == 1);
    CHECK(next.replaced[0].mine.value == "2");
    CHECK(phone.view()["a"] == "3");
}

TEST_CASE("Replica reports its edit whose version the server has lifted and cannot write",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    UnwritingServer server{rig.body(), "2"};
    Device<> phone = rig.device(1);
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    REQUIRE(phone.replica->edit(PutText{"a", "2"}));
    // A version of this device that is not known to be that of the edit.
    server.after_batch = [&] {
        const Stamp lifted =
            detail::stamp_above(rig.store.find({"s", "a"})->stamp, phone.journal->journal_id());
        REQUIRE_FALSE(rig.store.add({"s", "a"}, "2", {lifted, fresh_id(), 0, {}}));
    };
    const auto report = synced(*phone.replica, server);
    CHECK(report.synced == 1);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "2");
    CHECK(report.replaced[0].now.error == SyncErrc::store_corrupt);
    CHECK(report.unreadable.size() == 1);
}

TEST_CASE("Replica lists an unreadable element, and its edit there, after a sync that failed",
          "[sync][replica][regression]") {
    InterruptedPhone interrupted{GENERATE(true, false)};
    auto& [rig, server, phone] = interrupted;
    const auto report = synced(*phone.replica, server);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "2");
    CHECK(report.replaced[0].now.error == SyncErrc::store_corrupt);
    REQUIRE(report.unreadable.size() == 1);
    CHECK(report.unreadable[0].id == "a");
    CHECK(phone.view()["a"] == "1");
    const auto next = synced(*phone.replica, server);
    CHECK(next.replaced.empty());
    CHECK(next.unreadable.empty());
}

TEST_CASE("Replica reports its edit under an unreadable value after a crash",
          "[sync][replica][regression]") {
    const bool removes = GENERATE(true, false);
    InterruptedPhone interrupted{GENERATE(true, false), removes};
    auto& [rig, server, phone] = interrupted;
    phone.disk.crash(Random{Seed{1}});
    REQUIRE(phone.start());
    const auto report = synced(*phone.replica, server);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value ==
          (removes ? std::nullopt : std::optional{std::string{"2"}}));
    CHECK(report.replaced[0].now.error == SyncErrc::store_corrupt);
    CHECK(report.unreadable.size() == 1);
    CHECK(phone.view()["a"] == "1");
    CHECK(synced(*phone.replica, server).replaced.empty());
}

TEST_CASE("Replica lists no element that became readable after a sync that failed",
          "[sync][replica]") {
    UnreadableRig rig;
    UnwritingServer server{rig.body()};
    Device<> phone = rig.device(1);
    static_cast<void>(synced(*phone.replica, server));
    rig.write("a", "unencodable");
    for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");
    server.lose_in = 2;
    CHECK(phone.replica->sync(server).error == SyncErrc::unanswered);
    rig.write("a", "3");
    CHECK(synced(*phone.replica, server).unreadable.empty());
    CHECK(phone.view()["a"] == "3");
}

TEST_CASE("a copy keeps what the device has of an unreadable element", "[sync][replica]") {
    const bool is_other = GENERATE(false, true);
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone{1, {&rig.time}, {.other_store = ReplicaOptions::OtherStore::copies}};
    REQUIRE(phone.replica->edit(PutText{"a", "1"}));
    static_cast<void>(synced(*phone.replica, server));
    if (is_other) {
        rig.store = Memory{};
    } else {
        // It forgets a removal, which the phone has not received.
        rig.write("gone", "x");
        REQUIRE_FALSE(rig.store.remove({"s", "gone"}, {stamp(1), fresh_id(), 0, {}}));
        REQUIRE_FALSE(rig.store.expire(rig.time + 1000h));
    }
    rig.write("a", "unencodable");
    const auto report = synced(*phone.replica, server);
    CHECK(report.copied);
    CHECK(report.unreadable.size() == 1);
    CHECK(report.replaced.empty());
    CHECK(phone.view() == ReplicaView{{"a", "1"}});
    rig.write("a", "2");
    CHECK(synced(*phone.replica, server).replaced.size() == 1);
    CHECK(phone.view() == ReplicaView{{"a", "2"}});
}

TEST_CASE("Replica lists an unreadable element again if the report was not read",
          "[sync][replica]") {
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone = rig.device(1);
    rig.write("a", "unencodable");
    using Report = decltype(phone.replica)::value_type::Report;
    CHECK_THROWS_AS(static_cast<void>(phone.replica->sync(
                        server, [](const Report&) { throw std::runtime_error{"not read"}; })),
                    std::runtime_error);
    CHECK(synced(*phone.replica, server).unreadable.size() == 1);
    CHECK(synced(*phone.replica, server).unreadable.empty());
}

TEST_CASE("a later program that can read a value receives it with its first sync",
          "[sync][replica]") {
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone = rig.device(1);
    for (int i = 0; i < 5; ++i) rig.write("before " + std::to_string(i), "1");
    const bool is_first_copy = GENERATE(false, true);
    if (!is_first_copy) static_cast<void>(synced(*phone.replica, server));
    rig.write("a", "undecodable");
    for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");
    REQUIRE(phone.replica->edit(PutText{"b1", "3"}));
    CHECK(synced(*phone.replica, server).unreadable.size() == 1);
    REQUIRE(phone.replica->edit(PutText{"mine", "4"}));
    static_cast<void>(synced(*phone.replica, server));
    CHECK(phone.view().size() == 11);
    REQUIRE(phone.replica->edit(PutText{"b2", "5"}));

    LaterProgram later{phone};
    auto later_server = later_body(rig);
    const std::uint64_t questions = rig.questions;
    const auto report = synced(later.notes, later_server);
    CHECK(report.unreadable.empty());
    CHECK(report.rebased.empty());
    CHECK(report.replaced.empty());
    CHECK_FALSE(report.copied);
    CHECK(later.notes.read("a").value() == "undecodable");
    CHECK(later.notes.read("b1").value() == "3");
    CHECK(later.notes.read("b2").value() == "5");
    const std::uint64_t pages = rig.questions - questions;
    CHECK(pages <= (is_first_copy ? 7U : 6U));
    // And then there is nothing to read again.
    REQUIRE(phone.start());
    const auto next = synced(*phone.replica, server);
    CHECK(next.received == 0);
    CHECK(next.unreadable.empty());
}

TEST_CASE("the next run reports an unreadable value once when any call of the first run failed",
          "[sync][replica]") {
    for (std::uint64_t fail_in = 0; fail_in < 40; ++fail_in) {
        CAPTURE(fail_in);
        UnreadableRig rig;
        auto server = rig.body();
        Device<> phone = rig.device(1);
        static_cast<void>(synced(*phone.replica, server));
        rig.write("a", "undecodable");
        for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");
        phone.store.fail_in = fail_in;
        const auto first = phone.replica->sync(server);
        phone.store.fail_in = 0;
        // Its report is lost, also if the local store has the cursor.
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
        rig.write("c", "3");
        phone.store.fail_in = fail_in;
        static_cast<void>(phone.replica->sync(server));
        phone.store.fail_in = 0;
        REQUIRE(phone.start());
        const auto report = synced(*phone.replica, server);
        REQUIRE(report.unreadable.size() == 1);
        CHECK(report.unreadable[0].id == "a");
        CHECK(phone.view().size() == 6);
        const auto next = synced(*phone.replica, server);
        CHECK(next.unreadable.empty());
        CHECK(next.received == 0);
        // The next version can be read.
        rig.write("a", "4");
        static_cast<void>(synced(*phone.replica, server));
        REQUIRE(phone.start());
        CHECK(synced(*phone.replica, server).unreadable.empty());
        REQUIRE(phone.start());
        CHECK(synced(*phone.replica, server).received == 0);
        CHECK(phone.view()["a"] == "4");
    }
}

TEST_CASE("a run that reads values again keeps its progress if an answer is lost",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    UnwritingServer server{rig.body()};
    Device<> phone = rig.device(1);
    rig.write("a", "undecodable");
    for (int i = 0; i < 8; ++i) rig.write("b" + std::to_string(i), "1");
    static_cast<void>(synced(*phone.replica, server));
    for (int i = 0; i < 9; ++i) rig.write("c" + std::to_string(i), "2");
    rig.write("d", "undecodable");
    REQUIRE(phone.start());
    server.lose_in = 6;  // three pages are read again, and two are new
    CHECK(phone.replica->sync(server).error == SyncErrc::unanswered);
    const auto report = synced(*phone.replica, server);
    CHECK(report.received == 4);
    CHECK(report.unreadable.size() == 2);
    CHECK(phone.view().size() == 17);
    CHECK(synced(*phone.replica, server).unreadable.empty());
    // The next run requests both again.
    LaterProgram later{phone};
    auto later_server = later_body(rig);
    CHECK(synced(later.notes, later_server).unreadable.empty());
    CHECK(later.notes.read("a").value() == "undecodable");
    CHECK(later.notes.read("d").value() == "undecodable");
}

TEST_CASE("a later program receives all values that a copy could not read when any call failed",
          "[sync][replica][regression]") {
    const bool is_first = GENERATE(true, false);
    for (std::uint64_t fail_in = 0; fail_in < 80; ++fail_in) {
        CAPTURE(is_first, fail_in);
        UnreadableRig rig;
        auto server = rig.body();
        Device<> phone{1, {&rig.time}, {.other_store = ReplicaOptions::OtherStore::copies}};
        if (!is_first) {
            // The next answer is a copy, because it forgets a removal.
            rig.write("gone", "x");
            static_cast<void>(synced(*phone.replica, server));
            REQUIRE_FALSE(rig.store.remove({"s", "gone"}, {stamp(1), fresh_id(), 0, {}}));
            REQUIRE_FALSE(rig.store.expire(rig.time + 1000h));
        }
        rig.write("a", "undecodable");
        for (int i = 0; i < 5; ++i) rig.write("b" + std::to_string(i), "2");
        rig.write("c", "undecodable");
        phone.store.fail_in = fail_in;
        const auto first = phone.replica->sync(server);
        phone.store.fail_in = 0;
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
        LaterProgram later{phone};
        auto later_server = later_body(rig);
        CHECK(synced(later.notes, later_server).unreadable.empty());
        CHECK(later.notes.read("a").value() == "undecodable");
        CHECK(later.notes.read("c").value() == "undecodable");
    }
}

namespace {

/// Another author, whose clock is a day ahead, writes a value that the phone cannot read.
void write_a_day_ahead(UnreadableRig& rig, Device<>& phone, auto& server, bool was_there) {
    if (was_there) rig.write("a", "0");
    static_cast<void>(synced(*phone.replica, server));
    rig.time += 24h;  // the clock is corrected afterwards
    rig.write("a", "undecodable");
    rig.time -= 24h;
}

}  // namespace

TEST_CASE("an edit of an unreadable element replaces it, although its stamp is ahead",
          "[sync][replica]") {
    const bool restarts = GENERATE(false, true);
    const bool was_there = GENERATE(false, true);
    UnreadableRig rig;
    auto server = rig.body();
    Device<> phone = rig.device(1);
    write_a_day_ahead(rig, phone, server, was_there);
    rig.write("b", "1");
    CHECK(synced(*phone.replica, server).unreadable.size() == 1);
    if (restarts) REQUIRE(phone.start());
    REQUIRE(phone.replica->edit(PutText{"a", "2"}));
    REQUIRE(phone.replica->edit(PutText{"a", "3"}));
    const auto report = synced(*phone.replica, server);
    CHECK(report.conflicts.empty());
    CHECK(report.synced == 2);
    CHECK(report.replaced.empty());
    CHECK(rig.store.read({"s", "a"}).value() == "3");
    CHECK(phone.view()["a"] == "3");
    // Edits of other elements are as before.
    REQUIRE(phone.replica->edit(PutText{"b", "4"}));
    CHECK(synced(*phone.replica, server).synced == 1);
}

TEST_CASE("a device leaves out a replaced version that its codec cannot read",
          "[sync][replica][regression]") {
    UnreadableRig rig;
    auto server = rig.body();
    rig.write("a", "undecodable");
    Op edit = add("a", "1", {rig.time + 1s, 0, id_of(1)});
    edit.saw = Stamp{};
    const auto result = server.send({&edit, 1});
    REQUIRE(result);
    CHECK(result->synced_count == 1);
    CHECK(result->overwrote.empty());
}
