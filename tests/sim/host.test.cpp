// SPDX-License-Identifier: MIT
// Goal: a host's process starts, freezes and ends as real ones do, with all its parts; its disk
// stays. Method: processes of several kinds.
#include <belay/sim/host.hpp>

#include <memory>
#include <set>
#include <stdexcept>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Log = std::vector<std::string>;

/// Records its own end.
struct LoggedProcess {
    LoggedProcess(Log& l, std::string n) : log{&l}, name{std::move(n)} {}
    LoggedProcess(LoggedProcess&& other) noexcept
        : log{std::exchange(other.log, nullptr)}, name{std::move(other.name)} {}
    ~LoggedProcess() {
        if (log != nullptr) log->push_back(name + " dies");
    }
    Log* log;
    std::string name;
};

/// A machine that is always due, once a second.
struct Ticker {
    void attach(Waker w) { waker = std::move(w); }
    [[nodiscard]] Instant deadline() const noexcept { return due; }
    void advance(Instant now) {
        if (now < due) return;
        due = now + 1s;
        ++ticks;
        last = now;
        if (hook) hook();
    }
    Instant due{};
    Instant last = always;
    int ticks = 0;
    std::function<void()> hook;
    Waker waker;
};

}  // namespace

TEST_CASE("Host makes its process at once and at every restart", "[sim][host][unit]") {
    Log log;
    sim::World world{Seed{1}};
    int made = 0;
    sim::Host& host = world.host("a", [&](sim::Host& h) {
        CHECK(h.alive());
        CHECK(h.name() == "a");
        ++made;
        return std::make_unique<LoggedProcess>(log, "process");
    });
    CHECK(made == 1);
    REQUIRE(host.process<LoggedProcess>() != nullptr);
    CHECK(host.process<Ticker>() == nullptr);
    world.kill(host);
    CHECK(log == Log{"process dies"});
    CHECK_FALSE(host.alive());
    CHECK(host.process<LoggedProcess>() == nullptr);
    world.kill(host);
    CHECK(made == 1);
    world.restart(host);
    CHECK(made == 2);
    CHECK(host.starts() == 2);
    // A restart of a running process kills it first.
    world.restart(host);
    CHECK(log.size() == 2);
    CHECK(made == 3);
}

TEST_CASE("Host may have any kind of process", "[sim][host][unit]") {
    Log log;
    sim::World world{Seed{1}};
    SECTION("a value that moves") {
        sim::Host& host = world.host("a", [&](sim::Host&) { return LoggedProcess{log, "value"}; });
        CHECK(host.process<LoggedProcess>()->name == "value");
        world.kill(host);
        CHECK(log == Log{"value dies"});
    }
    SECTION("a value that cannot move") {
        sim::Host& host = world.host("a", [&](sim::Host&) { return Ticker{}; });
        CHECK(host.process<Ticker>() != nullptr);
    }
    SECTION("none") {
        sim::Host& host = world.host("a");
        CHECK(host.alive());
    }
    SECTION("the end of the world destroys them") {
        {
            sim::World other{Seed{1}};
            other.host("a", [&](sim::Host&) { return LoggedProcess{log, "a"}; });
            other.host("b", [&](sim::Host&) { return LoggedProcess{log, "b"}; });
        }
        CHECK(log == Log{"b dies", "a dies"});
    }
}

TEST_CASE("Host ends all parts of a killed process", "[sim][host][unit]") {
    Log log;
    Ticker ticker;
    bool ran = false;
    sim::World world{Seed{1}};
    sim::Host& host = world.host("a");
    host.attach(ticker);
    host.after(5s, [&, m = LoggedProcess{log, "function"}] { ran = true; });
    host.listen(1, [m = LoggedProcess{log, "listener"}](sim::Accepted) {});
    world.run_for(2s);
    CHECK(ticker.ticks == 3);
    world.kill(host);
    CHECK(log == Log{"function dies", "listener dies"});
    // Later requests of a dead process have no effect.
    host.post([&] { ran = true; });
    host.listen(1, [](sim::Accepted) {});
    world.run_for(10s);
    CHECK(ticker.ticks == 3);
    CHECK_FALSE(ran);
    CHECK(ticker.waker.now() == always);
    world.restart(host);
    world.run_for(10s);
    CHECK_FALSE(ran);
    CHECK(ticker.ticks == 3);
}

TEST_CASE("Host may be killed by its own code, which takes effect when it returns",
          "[sim][host][unit]") {
    Log log;
    Notes notes;
    sim::World world{Seed{1}};
    sim::Host* host = nullptr;
    const auto end_it = [&] {
        const bool again = GENERATE(false, true);
        if (again) {
            world.restart(*host);
        } else {
            world.kill(*host);
        }
        CHECK(host->alive());
        CHECK(log.empty());
        log.push_back("returns");
    };
    SECTION("a machine's turn") {
        struct App {
            App(sim::Host& h, Log& l, std::function<void()> f) : mortal{l, "process"} {
                if (h.starts() != 1) return;
                ticker.due = Instant{1s};
                ticker.hook = std::move(f);
                h.attach(ticker);
            }
            LoggedProcess mortal;
            Ticker ticker;
        };
        host = &world.host(
            "a", [&](sim::Host& h) { return std::make_unique<App>(h, log, [&] { end_it(); }); });
    }
    SECTION("a function") {
        host = &world.host("a", [&](sim::Host& h) {
            if (h.starts() == 1) h.after(1s, [&] { end_it(); });
            return LoggedProcess{log, "process"};
        });
    }
    SECTION("a listener") {
        host = &world.host("a", [&](sim::Host& h) {
            if (h.starts() == 1) h.listen(9000, [&](sim::Accepted) { end_it(); });
            return LoggedProcess{log, "process"};
        });
        struct Dialler {
            explicit Dialler(sim::Host& h, Notes& n)
                : link{Counting{sim::Tcp{h, "a", 9000}, n},
                       retry_for_ever({}),
                       {},
                       NotesObserver{&n}} {
                h.attach(link);
                link.start();
            }
            Supervisor<Counting<sim::Tcp>, decltype(retry_for_ever({})), NotesObserver> link;
        };
        world.host("b", [&](sim::Host& h) { return std::make_unique<Dialler>(h, notes); });
        world.run_for(1s);
        CHECK(log == Log{"returns", "process dies"});
        return;
    }
    world.run_for(1s);
    CHECK(log == Log{"returns", "process dies"});
    CHECK(host->alive() == (host->starts() == 2));
}

TEST_CASE("Host is dead after its factory has thrown, and heal starts it again",
          "[sim][host][regression]") {
    sim::World world{Seed{1}};
    int starts = 0;
    Ticker ticker;
    sim::Host& host = world.host("a", [&](sim::Host& h) {
        h.listen(9000, [](sim::Accepted) {});
        h.attach(ticker);
        if (++starts == 2) throw std::runtime_error{"a damaged journal"};
    });
    CHECK_THROWS_AS(world.restart(host), std::runtime_error);
    CHECK_FALSE(host.alive());
    const int ticks = ticker.ticks;
    world.run_for(5s);  // no part of the incomplete process runs
    CHECK(ticker.ticks == ticks);
    world.heal();
    CHECK(host.alive());
    CHECK(starts == 3);
    world.run_for(5s);
    CHECK(ticker.ticks > ticks);
}

TEST_CASE("Host may be killed by its own factory", "[sim][host][unit]") {
    Log log;
    sim::World world{Seed{1}};
    world.at(1s, [&] {
        sim::Host& host = world.host("a", [&](sim::Host& h) {
            world.kill(h);
            return LoggedProcess{log, "process"};
        });
        CHECK_FALSE(host.alive());
        CHECK(log == Log{"process dies"});
    });
    world.run_for(1s);
    CHECK(log.size() == 1);
}

TEST_CASE("Host's disk survives the process, without unsynced data", "[sim][host][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("a");
    const auto write = [&](const std::string& path, bool sync) {
        Result<sim::Disk::File> file = host.disk().open(path, OpenMode::replace);
        REQUIRE(file);
        REQUIRE_FALSE(file->write(0, as_bytes("content")));
        if (sync) REQUIRE_FALSE(file->sync());
        return std::move(file).value();
    };
    sim::Disk::File kept = write("d/kept", true);
    REQUIRE_FALSE(host.disk().sync_directory("d"));
    int lost = 0;
    for (int i = 0; i < 32; ++i) {
        const std::string path = "d/" + std::to_string(i);
        const sim::Disk::File file = write(path, false);
        world.restart(host);
        if (as_text(host.disk().contents(path)) != "content") ++lost;
    }
    CHECK(as_text(host.disk().contents("d/kept")) == "content");
    CHECK(lost > 8);
    // The open file of the dead process cannot be used.
    CHECK(kept.write(0, as_bytes("x")));
}

TEST_CASE("Host's disk ignores writes from the destructors of a killed process",
          "[sim][host][unit]") {
    sim::World world{Seed{1}};
    struct Saver {
        explicit Saver(sim::Host& h)
            : file{std::move(h.disk().open("late", OpenMode::replace)).value()} {
            static_cast<void>(file.sync());
            static_cast<void>(h.disk().sync_directory("."));
        }
        ~Saver() {
            CHECK(file.write(0, as_bytes("goodbye")));
            CHECK(file.sync());
        }
        sim::Disk::File file;
    };
    sim::Host& host = world.host("a", [](sim::Host& h) { return std::make_unique<Saver>(h); });
    world.kill(host);
    CHECK(as_text(host.disk().contents("late")).empty());
}

TEST_CASE("Host::after keeps the functions of a frozen process, in order", "[sim][host][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("a");
    Log log;
    Ticker ticker;
    host.attach(ticker);
    host.after(1s, [&] { log.push_back("first"); });
    host.after(2s, [&] { log.push_back("second"); });
    host.after(30s, [&] { log.push_back("later"); });
    world.at(500ms, [&] { world.pause(host); });
    world.at(600ms, [&] { CHECK(host.paused()); });
    world.run_for(20s);
    CHECK(log.empty());
    CHECK(ticker.ticks == 1);
    world.resume(host);
    CHECK_FALSE(host.paused());
    world.run_for(0s);
    CHECK(log == Log{"first", "second"});
    CHECK(ticker.last == Instant{20s});
    world.run_for(10s);
    CHECK(log.back() == "later");
    CHECK(ticker.ticks == 12);
    SECTION("a frozen process that is killed forgets them") {
        world.pause(host);
        host.post([&] { log.push_back("never"); });
        world.run_for(1s);
        world.restart(host);
        world.resume(host);
        world.run_for(1s);
        CHECK(log.back() == "later");
    }
    SECTION("its own code may freeze it, which takes effect when it returns") {
        host.post([&] {
            world.pause(host);
            CHECK_FALSE(host.paused());
        });
        world.run_for(0s);
        CHECK(host.paused());
    }
}

TEST_CASE("Host::disk lists names in an order that depends on the seed, and stays",
          "[sim][host][regression]") {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim::World world{Seed{seed}};
        sim::Disk& disk = world.host("a").disk();
        for (const char* const name : {"d/log.1", "d/log.2", "d/log.3"}) disk.put(name, Bytes(1));
        const auto names = disk.list("d").value();
        CHECK(names.size() == 3);
        CHECK(disk.names_in("d").value() == names);
        orders.insert(names[0] + names[1] + names[2]);
        disk.put("d/log.4", Bytes(1));
        auto more = disk.list("d").value();
        std::erase(more, "log.4");
        CHECK(more == names);
    }
    CHECK(orders.size() > 3);
}
