// SPDX-License-Identifier: MIT
// Goal: a ReplicaListener serves each device, and remembers none that is gone. Method: real sockets.
#include <belay/posix/replica_listener.hpp>

#include <optional>

#include <belay/sync/memory_store.hpp>
#include <belay/sync/replica_link.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"
#include "support/temporary_directory.hpp"

#include <belay/posix/tcp.hpp>
#include <belay/posix/unix.hpp>

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ListenerOfReplicas {
    posix::Loop<> loop{};
    WallTime time{1h};
    MemoryStore<std::string> store{};
    SyncProcessor<std::reference_wrapper<MemoryStore<std::string>>, LastWriteWins, NoObserver,
                  SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    posix::ReplicaListener<decltype(processor), TextCodec> server{
        loop, processor, TextCodec{}, {.devices_max = 2}};
};
using ReplicaText = AddElement<std::string>;

}  // namespace

TEST_CASE("ReplicaListener answers each device, notifies the others, and forgets those that end",
          "[posix][posix_replica_listener][integration]") {
    ListenerOfReplicas rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time}};
    auto& loop = rig.loop;
    REQUIRE_FALSE(rig.server.listen({"127.0.0.1", 0}));
    const auto tcp = [&] { return posix::Tcp{loop, {"127.0.0.1", rig.server.port()}}; };
    std::optional<part::ReplicaLink<posix::Tcp<>, TextCodec, posix::Loop<>>> link;
    link.emplace(loop, tcp(), TextCodec{}, part::ReplicaLinkOptions{.session = "s"});
    part::ReplicaLink other{loop, tcp(), TextCodec{}, {.session = "s"}};
    REQUIRE_FALSE(laptop.replica->sync(other).error);
    REQUIRE(other.take_due());
    REQUIRE(phone.replica->edit(ReplicaText{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(*link).error);
    REQUIRE(link->take_due());
    REQUIRE(loop.run_until([&] { return other.take_due(); }, 10s));
    CHECK_FALSE(link->take_due());
    CHECK(laptop.replica->sync(other).received == 1);
    CHECK(laptop.view() == phone.view());
    CHECK(rig.server.devices() == 2);
    rig.server.notify();
    REQUIRE(loop.run_until([&] { return other.take_due() && link->take_due(); }, 10s));

    // A third device has to wait until one of the two is gone.
    Device<> tablet{3, {&rig.time}};
    part::ReplicaLink third{loop, tcp(), TextCodec{}, {.session = "s", .connected_within = 100ms}};
    CHECK(tablet.replica->sync(third).error);
    CHECK(rig.server.devices() == 2);
    link.reset();
    REQUIRE(loop.run_until([&] { return rig.server.devices() < 2; }, 10s));
    for (int i = 0; i < 100 && tablet.replica->sync(third).error; ++i) {
    }
    CHECK(tablet.view() == phone.view());
}

TEST_CASE("ReplicaListener listens at a path", "[posix][posix_replica_listener][integration]") {
    const TemporaryDirectory directory;
    ListenerOfReplicas rig;
    const posix::UnixPath path{directory / "socket"};
    REQUIRE_FALSE(rig.server.listen(path));
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(ReplicaText{"a", "1"}));
    part::ReplicaLink link{rig.loop, posix::Unix{rig.loop, path}, TextCodec{}, {.session = "s"}};
    CHECK(phone.replica->sync(link).synced == 1);
}
