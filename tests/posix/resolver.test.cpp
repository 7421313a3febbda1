// SPDX-License-Identifier: MIT
// Goal: names are looked up outside of the loop, each by one thread at a time, within limits. A
// look-up that hangs stops neither the loop, nor other names, nor the resolver's destruction.
// Method: the system's own resolver with the name of the loopback; a function that hangs in its
// place, with a clock of its own.
#include <belay/posix/resolver.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include <belay/link/endpoints.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/posix/tcp_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The behaviour of the fake look-up, and its time.
struct Hang {
    static inline std::mutex mutex;
    static inline std::condition_variable changed;
    static inline bool hangs = false;              // all names except "quick"
    static inline std::set<std::string> released;  // these do not hang, either
    static inline std::atomic<int> calls{0};
    static inline std::atomic<int> inside{0};
    static inline std::atomic<Duration> time{1h};

    static void release() {
        const std::lock_guard lock{mutex};
        hangs = false;
        changed.notify_all();
    }
    static void release(const std::string& host) {
        const std::lock_guard lock{mutex};
        released.insert(host);
        changed.notify_all();
    }
    static Instant now() noexcept { return Instant{time}; }
    static posix::HostAddresses look_up(const std::string& host) {
        ++calls;
        ++inside;
        {
            std::unique_lock lock{mutex};
            changed.wait(lock, [&] { return !hangs || host == "quick" || released.count(host); });
        }
        --inside;
        return {{"127.0.0.1"}, {}};
    }
};

template <class F>
void spin_until(F&& holds) {
    while (!holds()) std::this_thread::yield();
}

struct HangingResolver : posix::detail::BasicResolver {
    explicit HangingResolver(posix::ResolverOptions options = {})
        : BasicResolver{options, &Hang::look_up, &Hang::now} {
        Hang::hangs = true;
        Hang::released.clear();
        Hang::calls = 0;
    }
    ~HangingResolver() {
        if (!releases) return;
        Hang::release();
        spin_until([] { return Hang::inside == 0; });
    }
    bool releases = true;
};

/// A request for a name.
struct Request {
    Request(HangingResolver& resolver, const std::string& host) {
        resolver.look_up(host, done.ask(), begun.ask());
    }
    driver::Question<posix::HostAddresses> done;
    driver::Question<posix::LookUpBegun> begun;
};

template <class T>
auto supervised(T transport, TcpApp& app) {
    return Supervisor{std::move(transport), tcp_policy(), SupervisorOptions{}, std::ref(app)};
}

}  // namespace

TEST_CASE("Tcp dials a name that its resolver looks up", "[posix][posix_resolver][unit]") {
    posix::Loop loop;
    posix::Resolver resolver;
    RawSocket server = RawSocket::listen();
    TcpApp app;
    // The name may be ::1, too, at which no socket listens: then the next address is tried.
    Supervisor link{posix::Tcp{loop, resolver, {"localhost", server.port()}}, tcp_policy(),
                    SupervisorOptions{}, std::ref(app)};
    loop.attach(link);
    link.start();
    CHECK(app.states.empty());
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::connected; }, 5min));
    CHECK(app.states == std::vector{LinkState::connecting, LinkState::connected});
}

TEST_CASE("Tcp looks its name up again at each dial", "[posix][posix_resolver][unit]") {
    posix::Loop loop;
    HangingResolver resolver;
    Hang::release();
    RawSocket server = RawSocket::listen();
    TcpApp app;
    Supervisor link{posix::Tcp{loop, resolver, {"name", server.port()}}, tcp_policy(),
                    SupervisorOptions{}, std::ref(app)};
    loop.attach(link);
    link.start();
    const auto connects = [&] {
        return loop.run_until([&] { return app.state() == LinkState::connected; }, 5min);
    };
    REQUIRE(connects());
    link.report_unhealthy();
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::cooldown; }, 5min));
    REQUIRE(connects());
    CHECK(Hang::calls == 2);
}

TEST_CASE("Tcp fails an attempt with an unknown name, with a readable text",
          "[posix][posix_resolver][fault]") {
    posix::Loop loop;
    posix::Resolver resolver;
    TcpApp app;
    Supervisor link{posix::Tcp{loop, resolver, {"no such host", 9}}, tcp_policy(),
                    SupervisorOptions{}, std::ref(app)};
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::cooldown; }, 5min));
    CHECK(app.failure.cause == Cause::refused);
    CHECK(app.failure.error().category().name() == std::string{"belay.resolve"});
    CHECK(app.failure.message().size() > std::string{"refused: "}.size());
}

TEST_CASE(
    "A look-up that hangs stops neither the loop nor other names; the attempt's limit ends it",
    "[posix][posix_resolver][fault]") {
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    HangingResolver resolver;
    RawSocket server = RawSocket::listen();
    TcpApp stuck;
    TcpApp fine;
    auto hanging = supervised(posix::Tcp{loop, resolver, {"slow", server.port()}}, stuck);
    auto quick = supervised(posix::Tcp{loop, resolver, {"quick", server.port()}}, fine);
    loop.attach(hanging);
    loop.attach(quick);
    hanging.start();
    quick.start();
    REQUIRE(loop.run_until([&] { return fine.state() == LinkState::connected; }));
    for (int attempt = 0; attempt < 20; ++attempt) {
        REQUIRE(stuck.state() == LinkState::connecting);
        clock.advance(30s);
        REQUIRE(loop.run_until([&] { return stuck.state() == LinkState::cooldown; }));
        CHECK(stuck.failure.error() == LinkErrc::attempt_timed_out);
        clock.advance(1s);
        REQUIRE(loop.run_until([&] { return stuck.state() == LinkState::connecting; }));
    }
    // Twenty attempts with one name make one look-up, and use one thread.
    spin_until([&] { return Hang::calls >= 2 && resolver.threads() == 1; });
    CHECK(Hang::calls == 2);
    Hang::release();
    REQUIRE(loop.run_until([&] { return stuck.state() == LinkState::connected; }));
}

TEST_CASE("Resolver looks up a name once for all concurrent requests",
          "[posix][posix_resolver][unit]") {
    HangingResolver resolver;
    std::deque<driver::Question<posix::HostAddresses>> questions(50);
    for (auto& question : questions) resolver.look_up("name", question.ask());
    spin_until([] { return Hang::inside == 1; });
    Hang::release();
    spin_until([&] { return questions.back().answered(); });
    for (auto& question : questions) {
        REQUIRE(question.answered());
        const std::optional<posix::HostAddresses> found = question.take();
        REQUIRE(found);
        CHECK(found->addresses.size() == 1);
    }
    CHECK(Hang::calls == 1);
}

TEST_CASE("Resolver bounds threads and requests; abandoned ones free their slots",
          "[posix][posix_resolver][fault]") {
    HangingResolver resolver{{.threads_max = 3, .waiting_max = 5}};
    std::deque<driver::Question<posix::HostAddresses>> questions(6);
    for (std::size_t i = 0; i < 5; ++i) {
        resolver.look_up("name" + std::to_string(i), questions[i].ask());
    }
    spin_until([] { return Hang::inside == 2; });
    CHECK(resolver.threads() == 2);
    resolver.look_up("name5", questions[5].ask());
    REQUIRE(questions[5].answered());
    CHECK(cause_of(questions[5].take()->error) == Cause::overloaded);

    questions[4].drop();
    resolver.look_up("name5", questions[5].ask());
    CHECK_FALSE(questions[5].answered());
    Hang::release();
    spin_until([&] { return questions[5].answered(); });
    spin_until([&] { return resolver.threads() == 0; });
    // The dropped request was never looked up.
    CHECK(Hang::calls == 5);
}

TEST_CASE("Resolver looks up a name at once while 24 others hang",
          "[posix][posix_resolver][regression]") {
    HangingResolver resolver;
    std::deque<Request> requests;
    for (int i = 0; i < 24; ++i) requests.emplace_back(resolver, "name" + std::to_string(i));
    Request quick{resolver, "quick"};
    for (const Request& request : requests) CHECK(request.begun.answered());
    spin_until([&] { return quick.done.answered(); });
}

TEST_CASE("Resolver keeps a thread for names that answer, and looks up names that hung last",
          "[posix][posix_resolver][regression]") {
    HangingResolver resolver{{.threads_max = 3}};
    const auto idle = [&] { return resolver.threads() == 0; };
    {
        const Request first{resolver, "hangs"}, second{resolver, "hangs, too"};
        spin_until([] { return Hang::inside == 2; });
        Hang::time = Hang::time.load() + 2s;
        Hang::release("hangs");
        Hang::release("hangs, too");
        spin_until([&] { return idle() && first.done.answered() && second.done.answered(); });
    }
    {
        const Request quick{resolver, "quick"};
        spin_until([&] { return idle() && quick.done.answered(); });
    }
    Hang::released.clear();
    const Request hung{resolver, "hangs"}, hung_later{resolver, "hangs, too"};
    CHECK(hung.begun.answered());
    CHECK_FALSE(hung_later.begun.answered());
    const Request fresh{resolver, "new"}, fresh_later{resolver, "another"};
    CHECK(fresh.begun.answered());
    CHECK_FALSE(fresh_later.begun.answered());
    Request quick{resolver, "quick"};
    CHECK(quick.begun.answered());
    spin_until([&] { return quick.done.answered(); });
    CHECK_FALSE(hung_later.begun.answered());
    CHECK_FALSE(fresh_later.begun.answered());
    // A place for any name: the new one comes first, although it asked last.
    Hang::release("hangs");
    spin_until([&] { return fresh_later.begun.answered(); });
    CHECK_FALSE(hung_later.begun.answered());
    // It hung, but now it answers in less than 2 s.
    spin_until([&] { return hung.done.answered() && resolver.threads() == 2; });
    Request again{resolver, "hangs"};
    CHECK(again.begun.answered());
}

TEST_CASE("The limit of an attempt runs from the beginning of its look-up",
          "[posix][posix_resolver][regression]") {
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    HangingResolver resolver{{.threads_max = 1}};
    const Request other{resolver, "other"};
    TcpApp app;
    auto link = supervised(posix::Tcp{loop, resolver, {"name", 9}}, app);
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until([] { return true; }));
    clock.advance(29s);
    REQUIRE(loop.run_until([] { return true; }));
    Hang::release("other");
    REQUIRE(loop.run_until([&] { return link.core().deadline() == clock.now() + 30s; }));
    CHECK(app.state() == LinkState::connecting);
    clock.advance(30s);
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::cooldown; }));
    CHECK(link.status().attempt == 1);
    CHECK_FALSE(link.status().withdrawn);
}

TEST_CASE("An attempt that waits for the resolver up to its limit gives the next endpoint its turn",
          "[posix][posix_resolver][regression]") {
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    HangingResolver resolver{{.threads_max = 1}};
    const Request other{resolver, "other"};
    RawSocket server = RawSocket::listen();
    TcpApp app;
    auto link = supervised(
        Endpoints{posix::Tcp{loop, resolver},
                  {posix::Endpoint{"name", 9}, posix::Endpoint{"127.0.0.1", server.port()}}},
        app);
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::connecting; }));
    REQUIRE(loop.run_until([] { return true; }));
    clock.advance(30s);
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::cooldown; }));
    CHECK(link.status().attempt == 0);
    CHECK(link.status().withdrawn);
    CHECK(app.failure.error() == LinkErrc::attempt_timed_out);
    clock.advance(1s);
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::connected; }));
    CHECK(link.transport().place() == 1);
}

TEST_CASE("Resolver ends at once while a look-up hangs, and drops waiting requests",
          "[posix][posix_resolver][fault]") {
    driver::Question<posix::HostAddresses> running;
    driver::Question<posix::HostAddresses> queued;
    {
        HangingResolver resolver{{.threads_max = 1}};
        resolver.look_up("running", running.ask());
        spin_until([] { return Hang::inside == 1; });
        resolver.look_up("queued", queued.ask());
        CHECK_FALSE(running.answered());
        resolver.releases = false;
    }
    // It still hangs.
    CHECK(Hang::inside == 1);
    REQUIRE(running.answered());
    REQUIRE(queued.answered());
    CHECK_FALSE(running.take());
    CHECK_FALSE(queued.take());
    Hang::release();
    spin_until([] { return Hang::inside == 0; });
    CHECK(Hang::calls == 1);
}

TEST_CASE("Tcp reports that its resolver was destroyed", "[posix][posix_resolver][fault]") {
    posix::Loop loop;
    TcpApp app;
    std::optional<HangingResolver> resolver{std::in_place};
    Supervisor link{posix::Tcp{loop, *resolver, {"name", 9}}, tcp_policy(), SupervisorOptions{},
                    std::ref(app)};
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until([] { return true; }));
    spin_until([] { return Hang::inside == 1; });
    resolver->releases = false;
    resolver.reset();
    REQUIRE(loop.run_until([&] { return app.state() == LinkState::cooldown; }, 5min));
    CHECK(app.failure.error() == std::errc::operation_canceled);
    link.stop();
    Hang::release();
    spin_until([] { return Hang::inside == 0; });
}

TEST_CASE("Endpoints over Tcp moves from a dead server to a running one, and back to the first",
          "[posix][posix_resolver][unit]") {
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    posix::Resolver resolver;
    std::optional<RawSocket> first{RawSocket::listen()};
    RawSocket second = RawSocket::listen();
    RawSocket third = RawSocket::listen();
    const posix::Endpoint a{"localhost", first->port()};
    const posix::Endpoint b{"127.0.0.1", second.port()};
    const posix::Endpoint c{"localhost", third.port()};
    TcpApp app;
    Supervisor link{Endpoints{posix::Tcp{loop, resolver}, {a, b, c}}, tcp_policy(),
                    SupervisorOptions{}, std::ref(app)};
    loop.attach(link);
    link.start();
    const auto until = [&](LinkState state) {
        REQUIRE(loop.run_until([&] { return app.state() == state; }));
    };
    until(LinkState::connected);
    CHECK(link.transport().place() == 0);
    RawSocket peer = first->accept();
    Bytes frame;
    REQUIRE(LengthPrefixed{}.put(as_bytes("here"), frame));
    peer.send(as_text(frame));
    REQUIRE(loop.run_until([&] { return link.core().alive(); }));
    clock.advance(10s);
    REQUIRE(loop.run_until([&] { return link.status().attempt == 0; }));

    // The first server is killed. It is tried again first, because the connection was stable.
    first.reset();
    peer = RawSocket{};
    until(LinkState::cooldown);
    clock.advance(100ms);
    until(LinkState::connecting);
    until(LinkState::cooldown);
    CHECK(link.transport().place() == 0);
    CHECK(app.failure.cause == Cause::refused);
    clock.advance(200ms);
    until(LinkState::connected);
    CHECK(link.transport().place() == 1);
    peer = second.accept();
    CHECK(link.send(to_bytes("hello")) == SendResult::sent);
}

TEST_CASE("Resolver aborts on limits of 0", "[posix][posix_resolver][unit]") {
    const std::string text =
        belay_test::aborts_with([] { const posix::Resolver none{{.threads_max = 0}}; });
    CHECK(text.find("Resolver: threads_max and waiting_max must be > 0") != std::string::npos);
}
