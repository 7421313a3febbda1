// SPDX-License-Identifier: MIT
// Goal: a ReplicaListener serves each device, forgets devices that end, and is not blocked by one
// that does not read. Method: real sockets.
#include <belay/posix/replica_listener.hpp>

#include <optional>

#include <belay/sync/memory_store.hpp>
#include <belay/sync/replica_link.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/sync/replica_rig.hpp"
#include "support/temporary_directory.hpp"

#include <belay/posix/tcp.hpp>

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Counts the values that it encodes.
struct CountingCodec : TextCodec {
    bool encode(const std::string& text, Bytes& into) const {
        ++*count;
        return TextCodec::encode(text, into);
    }
    int* count;
};

struct ListenerOfReplicas {
    posix::Loop<> loop{};
    WallTime time{1h};
    MemoryStore<std::string> store{};
    SyncProcessor<std::reference_wrapper<MemoryStore<std::string>>, LastWriteWins, NoObserver,
                  SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    int encoded = 0;
    posix::ReplicaListener<decltype(processor), CountingCodec> server{
        loop,
        processor,
        CountingCodec{{}, &encoded},
        {.devices_max = 2, .question_bytes = std::size_t{600} << 10U}};
};
using ReplicaText = AddElement<std::string>;

/// For a machine that is busy with other work.
const part::ReplicaLinkOptions patient{.session = "s", .within = 5min, .connected_within = 5min};

/// A device that sends and reads only when the test calls it.
struct IdleDevice {
    explicit IdleDevice(std::uint16_t port) : socket{RawSocket::connect(port)} {}
    void ask(std::uint64_t id) const {
        Bytes question = belay::detail::SyncMessageCodec<TextCodec>::ask_changes("s", {});
        part::SyncMessages::put_id(question, id);
        Bytes frame;
        REQUIRE(LengthPrefixed{}.put(question, frame));
        socket.send(as_text(frame));
    }
    /// Reads all bytes that have arrived.
    void read() {
        for (;;) {
            const std::string more = socket.read_some();
            if (more.empty()) break;
            input += more;
        }
        for (;;) {
            const auto cut = LengthPrefixed{}.cut(as_bytes(input), {});
            if (cut.kind == part::Cut::Kind::more) return;
            if (cut.kind == part::Cut::Kind::message) {
                if (part::SyncMessages::is_notice(to_bytes(cut.body))) {
                    ++notices;
                } else {
                    answers.push_back(belay::detail::SyncHeader::id_of(cut.body));
                }
            }
            input.erase(0, cut.bytes);
        }
    }
    RawSocket socket;
    std::string input{};
    int notices = 0;
    std::vector<std::uint64_t> answers{};
};

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
    link.emplace(loop, tcp(), TextCodec{}, patient);
    part::ReplicaLink other{loop, tcp(), TextCodec{}, patient};
    REQUIRE_FALSE(laptop.replica->sync(other).error);
    REQUIRE(other.take_due());
    REQUIRE(phone.replica->edit(ReplicaText{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(*link).error);
    REQUIRE(link->take_due());
    REQUIRE(loop.run_until([&] { return other.take_due(); }, 5min));
    CHECK_FALSE(link->take_due());
    CHECK(laptop.replica->sync(other).received == 1);
    CHECK(laptop.view() == phone.view());
    CHECK(rig.server.devices() == 2);
    rig.server.notify();
    REQUIRE(loop.run_until([&] { return other.take_due() && link->take_due(); }, 5min));

    // A third device must wait until one of the two has ended.
    Device<> tablet{3, {&rig.time}};
    part::ReplicaLink third{loop, tcp(), TextCodec{}, {.session = "s", .connected_within = 100ms}};
    CHECK(tablet.replica->sync(third).error);
    CHECK(rig.server.devices() == 2);
    link.reset();
    REQUIRE(loop.run_until([&] { return rig.server.devices() < 2; }, 5min));
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
    part::ReplicaLink link{rig.loop, posix::Unix{rig.loop, path}, TextCodec{}, patient};
    CHECK(phone.replica->sync(link).synced == 1);
}

TEST_CASE(
    "ReplicaListener answers a device that does not read only when it reads, and keeps its "
    "notice",
    "[posix][posix_replica_listener][integration]") {
    // With and without a request that waits, too.
    const bool asks_more = GENERATE(true, false);
    ListenerOfReplicas rig;
    REQUIRE_FALSE(rig.server.listen({"127.0.0.1", 0}));
    IdleDevice idle{rig.server.port()};
    Device<> phone{1, {&rig.time}};
    part::ReplicaLink link{rig.loop, posix::Tcp{rig.loop, {"127.0.0.1", rig.server.port()}},
                           TextCodec{}, patient};
    // More bytes than the kernel accepts for a peer that does not read.
    const std::string text(7 << 20, 'x');
    REQUIRE_FALSE(
        rig.store.add({"s", "long"}, text, {{rig.time, 0, fresh_id()}, fresh_id(), 1, {}}));
    rig.encoded = 0;
    idle.ask(1);
    REQUIRE(rig.loop.run_until([&] { return rig.encoded == 1; }, 5min));
    for (std::uint64_t id = 2; asks_more && id <= 300; ++id) idle.ask(id);

    // It syncs twice, and more requests than these arrive meanwhile. One notice alone must wait,
    // too.
    for (int edits = asks_more ? 2 : 1; edits != 0; --edits) {
        REQUIRE(phone.replica->edit(ReplicaText{"a", std::to_string(edits)}));
        REQUIRE(phone.replica->sync(link).synced == 1);
    }
    CHECK(rig.encoded < 20);
    CHECK(idle.answers.empty());

    // Its received bytes do not wake the loop.
    const std::size_t answers = asks_more ? 2 : 1;
    for (int i = 0; i < 5'000 && (idle.notices == 0 || idle.answers.size() < answers); ++i) {
        idle.read();
        static_cast<void>(rig.loop.run_until([] { return false; }, 1ms));
    }
    REQUIRE(idle.answers.size() == answers);
    CHECK(idle.answers.front() == 1);
    CHECK(idle.answers.back() == (asks_more ? 300 : 1));
    CHECK(idle.notices == 1);
}

TEST_CASE("ReplicaListener disconnects a device with a question above question_bytes",
          "[posix][posix_replica_listener][integration]") {
    ListenerOfReplicas rig;
    REQUIRE_FALSE(rig.server.listen({"127.0.0.1", 0}));
    const RawSocket right = RawSocket::connect(rig.server.port());
    const RawSocket wrong = RawSocket::connect(rig.server.port());
    REQUIRE(rig.loop.run_until([&] { return rig.server.devices() == 2; }, 5min));
    const auto begin = [](const RawSocket& socket, std::size_t bytes) {
        Bytes header;
        REQUIRE(LengthPrefixed{}.put_header(bytes, header));
        socket.send(as_text(header));
    };
    begin(right, std::size_t{600} << 10U);
    begin(wrong, (std::size_t{600} << 10U) + 1);
    REQUIRE(rig.loop.run_until([&] { return rig.server.devices() == 1; }, 5min));
    CHECK(wrong.read(100).size() < 100);  // the first ping, and the end
    CHECK_FALSE(right.ended());
}

TEST_CASE("ReplicaListener notifies its observer of each device that a limit rejects",
          "[posix][posix_replica_listener][integration]") {
    struct Rejections {
        std::vector<Cause>* causes;
        void on_rejected(const Failure& why) const { causes->push_back(why.cause); }
    };
    posix::Loop<> loop;
    SyncProcessor processor{MemoryStore<std::string>{}, LastWriteWins{}};
    std::vector<Cause> causes;
    posix::ReplicaListener server{
        loop, processor, TextCodec{}, {.devices_max = 1}, Rejections{&causes}};
    REQUIRE_FALSE(server.listen({"127.0.0.1", 0}));
    const RawSocket first = RawSocket::connect(server.port());
    REQUIRE(loop.run_until([&] { return server.devices() == 1; }, 5min));
    const RawSocket second = RawSocket::connect(server.port());
    REQUIRE(loop.run_until([&] { return !causes.empty(); }, 5min));
    CHECK(causes == std::vector{Cause::overloaded});
    Bytes header;
    REQUIRE(LengthPrefixed{}.put_header((std::size_t{1} << 20U) + 1, header));
    first.send(as_text(header));
    REQUIRE(loop.run_until([&] { return server.devices() == 0; }, 5min));
    CHECK(causes == std::vector{Cause::overloaded, Cause::protocol});
    // A device that ends by itself is not rejected.
    {
        const RawSocket third = RawSocket::connect(server.port());
        REQUIRE(loop.run_until([&] { return server.devices() == 1; }, 5min));
    }
    REQUIRE(loop.run_until([&] { return server.devices() == 0; }, 5min));
    CHECK(causes.size() == 2);
}
