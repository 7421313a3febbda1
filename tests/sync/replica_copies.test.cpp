// SPDX-License-Identifier: MIT
// Goal: a copy of everything that is interrupted, or that an earlier sync has received, neither
// looks like another store nor hides that a removal was undone. Method: a device and a server that
// forgets its removals, with lost answers between the two.
#include <belay/sync/replica.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A server that forgets its removals on command, so that its next answer is a copy.
template <class Strategy = LastWriteWins>
struct ForgetfulServerRig {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    SyncProcessor<std::reference_wrapper<Memory>, Strategy, NoObserver, SharedWall> processor{
        std::ref(store), Strategy{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};

    [[nodiscard]] Device<> device(ReplicaOptions options = {}) {
        return Device<>{1, SharedWall{&time}, std::move(options)};
    }
    /// Another author sees the current version.
    void write(Op operation) {
        time += 1s;
        operation.stamp = {time, 0, id_of(9)};
        const auto there = store.find({"s", operation.element()});
        REQUIRE(there);
        operation.saw = there->stamp;
        REQUIRE(processor.process_batch("s", Ops{operation}).success);
    }
    void forget_removals() { REQUIRE_FALSE(store.expire(time + 24h * 400)); }
};

}  // namespace

TEST_CASE("Replica reports its removal that was undone after a copy whose sync failed",
          "[sync][replica][regression]") {
    ForgetfulServerRig<> rig;
    Device<> phone = rig.device();
    rig.write(add("a", "1", stamp(0)));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const bool made_here = GENERATE(false, true);
    // The server may have forgotten an element of which the device has received nothing.
    if (made_here) REQUIRE(phone.replica->edit(AddElement<std::string>{"b", "1"}));
    const std::string element = made_here ? "b" : "a";
    REQUIRE(phone.replica->edit(RemoveElement{element}));
    rig.server.lose_in = 5;  // the request after the batch
    REQUIRE(phone.replica->sync(rig.server).error == SyncErrc::unanswered);
    rig.write(removal("a", stamp(0)));
    rig.forget_removals();
    const bool restarts = GENERATE(false, true);
    rig.server.lose_in = 3;  // the batch, after the copy
    const auto copied = phone.replica->sync(rig.server);
    REQUIRE(copied.error == SyncErrc::unanswered);
    REQUIRE(copied.copied);
    if (restarts) REQUIRE(phone.start());
    const auto confirmed = phone.replica->sync(rig.server);
    CHECK_FALSE(confirmed.error);
    CHECK_FALSE(confirmed.copied);
    CHECK(phone.replica->waiting() == 0);
    // A device that had the element restores it.
    rig.time += 24h * 400;
    rig.write(add(element, "1", stamp(0)));
    const auto report = phone.replica->sync(rig.server);
    REQUIRE(report.replaced.size() == 1);
    CHECK_FALSE(report.replaced[0].mine.value);
    CHECK(report.replaced[0].now.value == "1");
}

TEST_CASE("Replica reports its removal that was undone after an earlier one was in its place",
          "[sync][replica][regression]") {
    ForgetfulServerRig<> rig;
    Device<> phone = rig.device();
    rig.write(add("a", "1", stamp(0)));
    // A device that was offline for long has not seen what follows.
    rig.time += 1s;
    Op late = removal("a", {rig.time, 0, id_of(8)});
    late.saw = rig.store.find({"s", "a"})->stamp;
    rig.write(update("a", "2", stamp(0)));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    rig.time += 1s;
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->waiting() == 0);
    rig.forget_removals();
    REQUIRE(rig.processor.process_batch("s", Ops{late}).success);
    const auto same = phone.replica->sync(rig.server);
    CHECK_FALSE(same.error);
    CHECK(same.replaced.empty());  // two removals are the same state
    CHECK(phone.view().empty());
    const bool restarts = GENERATE(false, true);
    if (restarts) REQUIRE(phone.start());
    // A device that had the element restores it.
    rig.time += 24h * 400;
    rig.write(add("a", "2", stamp(0)));
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.replaced.size() == 1);
    CHECK_FALSE(report.replaced[0].mine.value);
    CHECK(report.replaced[0].now.value == "2");
    CHECK(phone.view() == ReplicaView{{"a", "2"}});
}

TEST_CASE("Replica receives a removal that its copy did not have when its edit loses against it",
          "[sync][replica][regression]") {
    ForgetfulServerRig<LocalWins> rig;  // which rejects each edit that does not name the removal
    Device<> phone = rig.device();
    rig.write(add("a", "1", stamp(0)));
    rig.write(add("b", "1", stamp(0)));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const bool has_removed = GENERATE(false, true);
    if (has_removed) {
        REQUIRE(phone.replica->edit(RemoveElement{"a"}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        rig.write(add("a", "2", stamp(0)));
    }
    // The server forgets the first removal only, so its next answer is a copy.
    rig.write(removal("b", stamp(0)));
    rig.forget_removals();
    rig.time += 24h * 400;
    rig.write(removal("a", stamp(0)));
    const Stamp removed = rig.store.find({"s", "a"})->stamp;
    REQUIRE(phone.replica->sync(rig.server).copied);
    REQUIRE(phone.view().empty());
    rig.time += 1s;
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "lost"}));
    const auto lost = phone.replica->sync(rig.server);
    CHECK_FALSE(lost.error);
    CHECK(lost.conflicts.size() == 1);
    CHECK(lost.replaced.empty());
    CHECK(rig.store.find({"s", "a"})->stamp == removed);
    CHECK(phone.view().empty());
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "again"}));
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.conflicts.empty());
    CHECK(phone.view() == ReplicaView{{"a", "again"}});
}

TEST_CASE(
    "Replica does not mistake an interrupted copy for another store, after a failure of any call",
    "[sync][replica][regression]") {
    using Choice = ReplicaOptions::OtherStore;
    const auto choice = GENERATE(Choice::stops, Choice::restores);
    const bool restarts = GENERATE(false, true);
    const bool loses_answer = GENERATE(false, true);
    std::uint64_t failed = 0;
    for (bool fails = true; fails; ++failed) {
        ForgetfulServerRig<> rig;
        Device<> device = rig.device({.other_store = choice});
        rig.server.page_size = 1;
        rig.write(add("removed", "1", stamp(0)));
        rig.write(add("a", "1", stamp(0)));
        REQUIRE_FALSE(device.replica->sync(rig.server).error);
        rig.write(removal("removed", stamp(0)));
        rig.write(add("b", "1", stamp(0)));
        rig.write(update("a", "2", stamp(0)));
        rig.forget_removals();
        (loses_answer ? rig.server.lose_in : device.store.fail_in) = failed + 1;
        const auto first = device.replica->sync(rig.server);
        fails = static_cast<bool>(first.error);
        CHECK_FALSE(first.lost);
        CHECK(first.restored.empty());
        rig.server.lose_in = device.store.fail_in = 0;
        if (restarts) REQUIRE(device.start());
        const auto report = device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK_FALSE(report.lost);
        CHECK(report.restored.empty());
        CHECK(device.view() == ReplicaView{{"a", "2"}, {"b", "1"}});
    }
    CHECK(failed > 3);
}
