// SPDX-License-Identifier: MIT
// Goal: a Replica loses no edit to others who use its ids, its origin and its stamps, or to a
// network that delivers its batches again. Method: the operations of another author, and a server
// that gets parts of all earlier batches in another order before and after each batch.
#include <belay/sync/replica.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using HostileAdd = AddElement<std::string>;

struct HostileRig {
    WallTime time{1h};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
};

/// Applies an operation of another author before the batch, with the id or the stamp of an edit.
template <class Server>
struct ClaimingServer {
    enum class Claim { nothing, id, stamp, id_and_stamp };

    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        if (const auto claim = std::exchange(claims, Claim::nothing); claim != Claim::nothing) {
            Op other = add(std::string{batch[0].element()}, "of another", stamp(1, 66));
            if (claim != Claim::stamp) other.id = batch[0].id;
            if (claim != Claim::id) other.stamp = batch[0].stamp;
            other.saw = Stamp{};
            REQUIRE(server.send(std::span<const Op>{&other, 1})->success);
        }
        return server.send(batch);
    }
    auto changes(const part::StoreCursor& since) { return server.changes(since); }

    Server& server;
    Claim claims = Claim::nothing;
};

/// Puts empty pages, which all move the cursor, before the pages of a server.
template <class Server>
struct EmptyPagesServer {
    auto send(std::span<const Op> batch) { return server.send(batch); }
    decltype(auto) changes(const part::StoreCursor& since) {
        ++asked;
        // A copy begins with a page of its own. A sync without a limit fails, and does not hang.
        const bool is_far = asked > 10 * part::empty_pages_max;
        if (since.store == no_id || empty == 0 || is_far) return server.changes(since);
        if (empty != no_limit) --empty;
        part::ChangesPage<std::string> page;
        page.next = since;
        ++page.next.changes;
        page.more = true;
        return Result<part::ChangesPage<std::string>>{page};
    }

    Server& server;
    std::size_t empty = no_limit;
    std::size_t asked = 0;
};

/// Delivers parts of all earlier batches again, in another order. Their answers are not read.
template <class Server>
struct ReplayingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        replay();
        for (const Op& one : batch) sent.push_back(one);
        if (any(4) == 0) replay();
        auto result = server.send(batch);
        replay();
        return result;
    }
    auto changes(const part::StoreCursor& since) {
        replay();
        return server.changes(since);
    }
    void replay() {
        Ops part;
        for (const Op& one : sent) {
            if (any(3) == 0) part.push_back(one);
        }
        for (std::size_t i = part.size(); i > 1; --i) std::swap(part[i - 1], part[any(i)]);
        static_cast<void>(server.processor.process_batch("s", part));
    }
    std::uint64_t any(std::uint64_t below) { return uniform_upto(bits, below - 1); }

    Server& server;
    Random& bits;
    Ops sent{};
};

}  // namespace

TEST_CASE("Replica has or reports its edit whose id or stamp another author has claimed",
          "[sync][replica][bad_input]") {
    HostileRig rig;
    using Hostile = ClaimingServer<decltype(rig.server)>;
    Hostile hostile{rig.server};
    Device<> phone{1, {&rig.time}};
    hostile.claims =
        GENERATE(Hostile::Claim::id, Hostile::Claim::stamp, Hostile::Claim::id_and_stamp);
    const bool claims_id = hostile.claims != Hostile::Claim::stamp;
    REQUIRE(phone.replica->edit(HostileAdd{"a", "mine"}));
    REQUIRE(phone.replica->edit(HostileAdd{"b", "mine"}));
    const auto report = phone.replica->sync(hostile);
    CHECK_FALSE(report.error);
    CHECK(rig.store.read({"s", "b"}).value() == "mine");
    if (claims_id) {
        REQUIRE(report.kept.size() == 1);
        CHECK(report.kept[0].error == SyncErrc::id_reused);
        CHECK(report.kept[0].operation.value() == "mine");
        CHECK(phone.view() == ReplicaView{{"a", "of another"}, {"b", "mine"}});
        REQUIRE(phone.start());
        REQUIRE(phone.replica->kept().size() == 1);
        REQUIRE_FALSE(phone.replica->drop(phone.replica->kept()[0].operation.id));
    } else {
        CHECK(report.conflicts.size() + report.overwrote.size() + report.replaced.size() != 0);
    }
    // Afterwards, the element can be edited as any other.
    rig.time += 1s;
    REQUIRE(phone.replica->edit(HostileAdd{"a", "again"}));
    const auto next = phone.replica->sync(hostile);
    CHECK_FALSE(next.error);
    CHECK(next.synced == 1);
    CHECK(phone.replica->waiting() == 0);
    CHECK(rig.store.read({"s", "a"}).value() == "again");
    CHECK(phone.view() == ReplicaView{{"a", "again"}, {"b", "mine"}});
}

TEST_CASE("Replica reports that a version with its own origin replaced its version",
          "[sync][replica][bad_input]") {
    HostileRig rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(HostileAdd{"a", "mine"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const Stamp mine = rig.store.find({"s", "a"})->stamp;
    // Later than all stamps of the phone so far, within what a server accepts.
    Op claim = add("a", "of another", {rig.time + 1min, 7, phone.journal->journal_id()});
    claim.saw = mine;
    REQUIRE(rig.processor.process_batch("s", Ops{claim}).success);
    const bool waits = GENERATE(false, true);
    if (waits) REQUIRE(phone.replica->edit(HostileAdd{"a", "later"}));
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    if (waits) {
        CHECK(report.conflicts.size() + report.overwrote.size() == 1);
    } else {
        REQUIRE(report.replaced.size() == 1);
        CHECK(report.replaced[0].mine.value == "mine");
    }
    // Its later edits have stamps above that one.
    REQUIRE(phone.replica->edit(HostileAdd{"a", "last"}));
    const auto next = phone.replica->sync(rig.server);
    CHECK(next.synced == 1);
    CHECK(phone.replica->waiting() == 0);
    CHECK(rig.store.read({"s", "a"}).value() == "last");
}

TEST_CASE("Replica accounts for every edit if its batches come again in parts and in another order",
          "[sync][replica][bad_input][property]") {
    for_each_seed(
        [](Seed seed) {
            HostileRig rig;
            Random bits{seed};
            ReplayingServer<decltype(rig.server)> server{rig.server, bits};
            const auto any = [&](std::uint64_t below) { return uniform_upto(bits, below - 1); };
            Device<> devices[2]{{seed.value * 2 + 1, {&rig.time}, {.batch_operations = 1 + any(4)}},
                                {seed.value * 2 + 2, {&rig.time, -2s}, {.batch_operations = 3}}};
            std::set<std::string> texts;  // the texts of all edits that add or update
            // Texts that a later author saw, or that a report contains.
            std::set<std::string> known;
            const auto read = [&](const auto& report) {
                REQUIRE_FALSE(report.error);
                for (const auto& one : report.conflicts) {
                    if (one.operation.kind() != OperationKind::remove)
                        known.insert(one.operation.value());
                }
                for (const auto& one : report.overwrote)
                    known.insert(one.replaced.value.value_or(""));
                for (const auto& one : report.replaced) known.insert(one.mine.value.value_or(""));
                REQUIRE(report.kept.empty());
            };
            for (int step = 0; step < 30; ++step) {
                Device<>& device = devices[any(2)];
                rig.time += 1ms * static_cast<int>(any(2000));
                const std::string name(1, static_cast<char>('a' + any(3)));
                if (any(2) == 0) {
                    const auto shown = device.replica->read(name);
                    if (shown->has_value()) known.insert(**shown);
                    const std::string text = std::to_string(step);
                    if (any(4) == 0) {
                        REQUIRE(device.replica->edit(RemoveElement{name}));
                    } else {
                        texts.insert(text);
                        REQUIRE(device.replica->edit(HostileAdd{name, text}));
                    }
                } else {
                    read(device.replica->sync(server));
                }
            }
            for (int round = 0; round < 3; ++round) {
                for (Device<>& device : devices) read(device.replica->sync(server));
            }
            REQUIRE(devices[0].view() == devices[1].view());
            for (Device<>& device : devices) REQUIRE(device.replica->waiting() == 0);
            rig.store.for_each("s",
                               [&](std::string_view id, const std::string& text, const Stamp&) {
                                   known.insert(text);
                                   REQUIRE(devices[0].view()[std::string{id}] == text);
                               });
            REQUIRE(std::includes(known.begin(), known.end(), texts.begin(), texts.end()));
        },
        histories(100));
}

TEST_CASE("Replica: a server whose empty pages never end does not hold a sync",
          "[sync][replica][regression]") {
    HostileRig rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(HostileAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(HostileAdd{"b", "2"}));
    EmptyPagesServer<decltype(rig.server)> server{rig.server};
    SECTION("they never end") {
        CHECK(phone.replica->sync(server).error == SyncErrc::endless_changes);
        CHECK(server.asked == part::empty_pages_max);
        CHECK(phone.view() == ReplicaView{{"a", "1"}, {"b", "2"}});
        CHECK(phone.replica->waiting() == 1);
    }
    SECTION("as many as are allowed end") {
        // The cursor that they moved is ahead of the store, which then sends a copy.
        phone.options.other_store = ReplicaOptions::OtherStore::copies;
        REQUIRE(phone.start());
        server.empty = part::empty_pages_max - 1;
        CHECK_FALSE(phone.replica->sync(server).error);
        CHECK(phone.replica->waiting() == 0);
    }
}

TEST_CASE("Replica takes no edit whose codec throws", "[sync][replica][regression]") {
    struct ThrowingCodec : TextCodec {
        bool encode(const std::string& text, Bytes& into) const {
            if (text == "bad") throw std::runtime_error{"the codec's own"};
            return TextCodec{}.encode(text, into);
        }
    };
    HostileRig rig;
    Device<> device{1, {&rig.time}};
    device.replica.reset();
    Replica replica{std::ref(*device.journal), std::ref(device.store), ThrowingCodec{},
                    device.options, device.wall};
    REQUIRE_FALSE(replica.load());
    REQUIRE(replica.edit(HostileAdd{"a", "good"}));
    CHECK_THROWS_AS(replica.edit(HostileAdd{"a", "bad"}), std::runtime_error);
    CHECK(replica.waiting() == 1);
    CHECK(replica.read("a").value() == "good");
    CHECK(replica.sync(rig.server).synced == 1);
    CHECK(device.start());
    CHECK(device.view() == ReplicaView{{"a", "good"}});
}
