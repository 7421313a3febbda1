// SPDX-License-Identifier: MIT
// Goal: no edit is lost over a link that is cut, to a server that is killed and frozen. Method:
// check::sync_server, and worlds in which the server is killed and frozen, and connections are cut.
#include <belay/sync/replica_link.hpp>

#include <list>

#include <belay/backoff.hpp>
#include <belay/policy.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A server in a simulated world, which may be killed. Its store survives.
struct SyncHost {
    using Served = Supervisor<sim::Accepted, MaxAttempts, std::reference_wrapper<SyncHost>>;

    SyncHost(sim::Host& h, BytesRig<>& r) : rig{r} {
        h.listen(1, [this, &h](sim::Accepted accepted) {
            std::erase_if(served,
                          [](const auto& one) { return one.status().state == LinkState::failed; });
            served.emplace_back(std::move(accepted), MaxAttempts{1}, std::ref(*this));
            h.attach(served.back());
            served.back().start();
        });
    }
    void on_message(auto& link, const Bytes& question) {
        const auto answer = rig.server.answer(question);
        static_cast<void>(link.send(answer.bytes));
        if (!answer.changed) return;
        for (Served& one : served) {
            if (&one != &link) static_cast<void>(one.send(part::SyncMessages::notice()));
        }
    }
    BytesRig<>& rig;
    std::list<Served> served{};
};

struct Notices {
    int count = 0;
    void on_message(const Bytes& message) { count += part::SyncMessages::is_notice(message); }
};
auto device_policy() {
    return Policy{Backoff{FullJitter{}, Cap{500ms}, 50ms}, ResetWhenStable{1s}, AttemptTimeout{1s}};
}
using DeviceRequests = Requests<sim::Tcp, decltype(device_policy()), part::SyncMessages, Notices>;

/// The link of one device to the server of a world.
struct DeviceLink {
    DeviceLink(sim::World& world, std::string_view name)
        : host{world.host(name)},
          requests{sim::Tcp{host, "server", 1}, device_policy(), part::SyncMessages{},
                   RequestsOptions{}, Notices{}},
          server{part::LinkExchange{requests, world},
                 TextCodec{},
                 {.session = "s", .within = 2s, .question_bytes = 300}} {
        host.attach(requests);
        requests.start();
    }
    sim::Host& host;
    DeviceRequests requests;
    part::RemoteSyncServer<TextCodec, part::LinkExchange<DeviceRequests, sim::World>> server;
};

struct LinkBody {
    Result<SyncResult<Op>> send(std::span<const Op> batch) { return in->link.server.send(batch); }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        return in->link.server.changes(since);
    }
    struct Parts {
        BytesRig<> rig{};
        sim::World world{Seed{1}};
        sim::Host& host = world.host("server", [this](sim::Host& h) { return SyncHost{h, rig}; });
        DeviceLink link{world, "device"};
    };
    BytesRig<>& rig() { return in->rig; }
    std::unique_ptr<Parts> in = std::make_unique<Parts>();
};

/// Uses a host as the loop of a ReplicaLink.
struct HostLoop {
    void attach(auto& machine) { host.attach(machine); }
    template <class Done>
    bool run_until(Done done, Duration limit) {
        static_cast<void>(world.run_until([&] { return stopped || done(); }, limit));
        stopped = false;
        return done();
    }
    /// Has the effect of Loop::stop(): the run in progress, or the next one, ends at once.
    void stop() noexcept { stopped = true; }
    [[nodiscard]] Instant now() const noexcept { return world.now(); }
    sim::Host& host;
    sim::World& world;
    bool stopped = false;
};

/// A network that this process may not use while `*is_denied`.
struct DeniedTcp : part::Around<sim::Tcp> {
    struct Connection : part::Wrapped<part::ConnectionOf<sim::Tcp>, Bytes> {
        using Base = part::Wrapped<part::ConnectionOf<sim::Tcp>, Bytes>;
        Connection(DeniedTcp& owner, const Link<Bytes>& own)
            : Base{[&] { return owner.inner_.open(own.child()); }}, denied{&owner} {}
        [[nodiscard]] bool sift(part::Event<Bytes>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            if (event.kind != part::EventKind::opened) return true;
            ++*denied->dials;
            if (!*denied->is_denied) return true;
            event.kind = part::EventKind::closed;
            event.failure = denied->failure;
            return true;
        }
        DeniedTcp* denied;
    };
    DeniedTcp(sim::Tcp tcp, const bool& denies, int& count)
        : Around{std::move(tcp)}, is_denied{&denies}, dials{&count} {}
    [[nodiscard]] Connection open(const Link<Bytes>& own) { return {*this, own}; }
    const bool* is_denied;
    int* dials;
    Failure failure = Failure::from(std::make_error_code(std::errc::permission_denied));
};

/// Two devices over links to one server, the faults of a world, and the state of every text.
struct CutWorld {
    explicit CutWorld(Seed seed)
        : world{seed},
          host{world.host("server",
                          [this](sim::Host& h) {
                              return SyncHost{h, rig};
                          })},
          bits{Seed{seed.value * 31}} {
        for (const char* const name : {"phone", "laptop"}) {
            const std::uint64_t number = seed.value * 10 + devices.size();
            devices.push_back(std::make_unique<OneDevice>(*this, name, number));
        }
    }
    struct OneDevice {
        OneDevice(CutWorld& w, const char* n, std::uint64_t number)
            : device{number, {&w.rig.time}}, link{w.world, n} {}
        Device<> device;
        DeviceLink link;
    };
    std::uint64_t any(std::uint64_t below) { return uniform_upto(bits, below - 1); }
    Duration within(std::uint64_t milliseconds) {
        return Duration{static_cast<std::int64_t>(any(milliseconds * 1'000'000))};
    }

    void step(int number) {
        OneDevice& one = *devices[any(2)];
        const std::string element(1, static_cast<char>('a' + any(4)));
        const std::string text = std::to_string(number) + std::string(any(60), '.');
        rig.time += 1ms * static_cast<int>(any(5'000));
        const auto seen = one.device.replica->read(element);
        if (*seen) accounted.insert(**seen);
        REQUIRE(one.device.replica->edit(AddElement<std::string>{element, text}));
        texts.insert(text);
        if (any(3) != 0) return;
        switch (any(5)) {
            case 0:
                world.after(within(30), [this] { world.kill(host); });
                world.after(1s, [this] { world.restart(host); });
                break;
            case 1:
                world.after(within(30), [this, &one] {
                    world.network().drop_connections(host, one.link.host);
                });
                break;
            case 2:
                world.pause(host);
                world.after(within(4'000), [this] { world.resume(host); });
                break;
            case 3:
                world.network().partition(host, one.link.host);
                world.after(within(4'000),
                            [this, &one] { world.network().heal(host, one.link.host); });
                break;
            default:
                break;
        }
        const auto report = one.device.replica->sync(one.link.server);
        read(report);
        failed += report.error ? 1 : 0;
        if (any(6) == 0) REQUIRE(one.device.start());
    }
    void settle() {
        world.heal();
        for (int i = 0; i < 6; ++i) {
            OneDevice& one = *devices[static_cast<std::size_t>(i % 2)];
            const bool connected = world.run_until(
                [&] { return one.link.requests.status().link.state == LinkState::connected; }, 60s);
            REQUIRE(connected);
            const auto report = one.device.replica->sync(one.link.server);
            CHECK_FALSE(report.error);
            read(report);
        }
        const auto shown = devices[0]->device.view();
        CHECK(shown == devices[1]->device.view());
        for (const auto& one : devices) CHECK(one->device.replica->waiting() == 0);
        for (const auto& [id, text] : shown) accounted.insert(text);
        for (const std::string& text : texts) {
            CAPTURE(text);
            CHECK(accounted.count(text) == 1);
        }
    }
    void read(const Device<>::Replica::Report& report) {
        for (const auto& one : report.conflicts) accounted.insert(one.operation.value());
        for (const auto& one : report.overwrote) {
            accounted.insert(one.replaced.value.value_or(""));
        }
        for (const auto& one : report.replaced) accounted.insert(one.mine.value.value_or(""));
    }

    BytesRig<> rig{};
    sim::World world;
    sim::Host& host;
    Random bits;
    std::vector<std::unique_ptr<OneDevice>> devices{};
    std::set<std::string> texts{};
    std::set<std::string> accounted{};
    int failed = 0;
};

}  // namespace

TEST_CASE("check::sync_server finds no fault in a server over a link", "[sync][link_exchange]") {
    CHECK(fault_of_body<LinkBody>({.histories = 3}) == "none");
}

TEST_CASE("a device is notified when another one has synced", "[sync][link_exchange]") {
    LinkBody::Parts world;
    DeviceLink other{world.world, "other"};
    Device<> phone{1, {&world.rig.time}};
    Device<> laptop{2, {&world.rig.time}};
    REQUIRE_FALSE(laptop.replica->sync(other.server).error);
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(world.link.server).error);
    REQUIRE(world.world.run_until([&] { return other.requests.observer().count != 0; }, 5s));
    CHECK(world.link.requests.observer().count == 0);
    CHECK(laptop.replica->sync(other.server).received == 1);
    CHECK(laptop.view() == phone.view());
}

TEST_CASE("no edit is lost over a link that is cut, to a server that is killed and frozen",
          "[sync][link_exchange][property]") {
    int failed = 0;
    for_each_seed(
        [&](Seed seed) {
            CutWorld world{seed};
            for (int i = 0; i < 40; ++i) world.step(i);
            world.settle();
            failed += world.failed;
        },
        histories(30));
    CHECK(failed != 0);
}

TEST_CASE("ReplicaLink: a sync is due once after each connection and each notice",
          "[sync][replica_link]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    part::ReplicaLink server{loop, sim::Tcp{loop.host, "server", 1}, TextCodec{}, {.session = "s"}};
    Device<> phone{1, {&parts.rig.time}};
    Device<> laptop{2, {&parts.rig.time}};
    CHECK_FALSE(server.take_due());
    CHECK_FALSE(server.is_connected());
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    CHECK(server.is_connected());
    CHECK(server.take_due());
    CHECK_FALSE(server.take_due());
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(parts.link.server).error);
    REQUIRE(parts.world.run_until([&] { return server.take_due(); }, 5s));
    CHECK(laptop.replica->sync(server).received == 1);
    parts.world.network().drop_connections(parts.host, loop.host);
    REQUIRE(parts.world.run_until([&] { return server.take_due(); }, 5s));
}

TEST_CASE("ReplicaLink: a sync while offline ends soon, and connects at once when it can",
          "[sync][replica_link]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    part::ReplicaLink server{loop, sim::Tcp{loop.host, "server", 1}, TextCodec{}, {.session = "s"}};
    Device<> phone{1, {&parts.rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    parts.world.kill(parts.host);
    // By then, the wait between two attempts is long.
    static_cast<void>(parts.world.run_until([] { return false; }, 10min));
    Instant begun = parts.world.now();
    CHECK(phone.replica->sync(server).error == std::errc::not_connected);
    CHECK(elapsed(begun, parts.world.now()) <= 1s);
    CHECK(phone.replica->waiting() == 1);
    parts.world.restart(parts.host);
    begun = parts.world.now();
    CHECK(phone.replica->sync(server).synced == 1);
    CHECK(elapsed(begun, parts.world.now()) <= 1s);
    server.requests().stop();
    REQUIRE(parts.world.run_until([&] { return !server.is_connected(); }, 60s));
    begun = parts.world.now();
    CHECK(phone.replica->sync(server).error == std::errc::not_connected);
    CHECK(parts.world.now() == begun);
    server.requests().start();
    CHECK(phone.replica->sync(server).error == std::error_code{});
}

TEST_CASE("ReplicaLink: a loop that is stopped while a sync waits for a connection stays stopped",
          "[sync][replica_link]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    part::ReplicaLink server{loop, sim::Tcp{loop.host, "server", 1}, TextCodec{}, {.session = "s"}};
    Device<> phone{1, {&parts.rig.time}};
    parts.world.kill(parts.host);
    parts.world.after(200ms, [&] { loop.stop(); });
    const Instant begun = parts.world.now();
    CHECK(phone.replica->sync(server).error == std::errc::not_connected);
    CHECK(elapsed(begun, parts.world.now()) == 200ms);
    CHECK_FALSE(loop.run_until([] { return false; }, 10s));
    CHECK(elapsed(begun, parts.world.now()) == 200ms);
    CHECK_FALSE(loop.run_until([] { return false; }, 1s));
    CHECK(elapsed(begun, parts.world.now()) == 1200ms);
}

TEST_CASE("ReplicaLink: a sync connects again after a failure that retries do not cure",
          "[sync][replica_link]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    bool denied = true;
    int dials = 0;
    DeniedTcp tcp{sim::Tcp{loop.host, "server", 1}, denied, dials};
    const LinkState ends = GENERATE(LinkState::failed, LinkState::blocked_auth);
    if (ends == LinkState::blocked_auth) tcp.failure = {.cause = Cause::unauthorized};
    part::ReplicaLink server{
        loop, std::move(tcp), TextCodec{}, {.session = "s", .connected_within = 100ms}};
    Device<> phone{1, {&parts.rig.time}};
    const auto state = [&] { return server.requests().status().link.state; };
    REQUIRE(parts.world.run_until([&] { return state() == ends; }, 60s));
    // At most one attempt per second.
    dials = 0;
    for (int i = 0; i < 50; ++i) CHECK(phone.replica->sync(server).error);
    CHECK(dials == 5);
    denied = false;
    static_cast<void>(parts.world.run_until([] { return false; }, 1s));
    CHECK(phone.replica->sync(server).error == std::error_code{});
}

TEST_CASE("ReplicaLink rejects a negative time to wait for a connection when it is made",
          "[sync][replica_link][regression]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    const auto link = [&](Duration connected_within) {
        part::ReplicaLink server{loop,
                                 sim::Tcp{loop.host, "server", 1},
                                 TextCodec{},
                                 {.session = "s", .connected_within = connected_within}};
    };
    CHECK(belay_test::aborts_with([&] {
              link(Duration{-1});
          }).find("connected_within must be >= 0ns") != std::string::npos);
    link(Duration{});
}

TEST_CASE("ReplicaLink: one request without an answer ends a connection that is half open",
          "[sync][replica_link]") {
    LinkBody::Parts parts;
    HostLoop loop{parts.world.host("other"), parts.world};
    part::ReplicaLink server{
        loop, sim::Tcp{loop.host, "server", 1}, TextCodec{}, {.session = "s", .within = 2s}};
    Device<> phone{1, {&parts.rig.time}};
    REQUIRE_FALSE(phone.replica->sync(server).error);
    parts.world.network().partition(parts.host, loop.host);
    CHECK(phone.replica->sync(server).error);
    CHECK(parts.world.run_until([&] { return !server.is_connected(); }, 1s));
}
