// SPDX-License-Identifier: MIT
// Goal: each operation of two sessions takes effect once in an SQLite database, in order, while
// both sides are killed, and others lock the database. Method: hosts of a world, whose server has
// a real file.
#include <belay/sqlite/ledger.hpp>

#include <belay/belay.hpp>
#include <belay/journal/journal.hpp>
#include <belay/session.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t operations = 60;

std::error_code store(sqlite3& db, const Id& sender, BytesView operation) {
    constexpr const char* insert = "INSERT INTO orders (sender, text) VALUES (?, ?)";
    const auto error = sqlite::write(db, insert, BytesView{sender}, as_text(operation));
    if (error != std::errc::invalid_argument) return error;
    return sqlite::write(db, "INSERT INTO orders (sender, text) VALUES (?, 'rejected')",
                         BytesView{sender});
}
std::string order(std::uint64_t number) {
    return number % 9 == 0 ? std::string{} : std::to_string(number);
}

struct LedgerServer {
    struct Observer {
        void on_ledger_failed(std::error_code) { ++*failures; }
        int* failures;
    };
    LedgerServer(sim::Host& host, sqlite::Ledger ledger, int& failures)
        : receiver{std::move(ledger), ReceiverOptions{.commit_within = 5ms}, Observer{&failures}} {
        host.attach(receiver);
        host.listen(1,
                    [this](sim::Accepted connection) { receiver.accept(std::move(connection)); });
    }
    Receiver<sim::Accepted, sqlite::Ledger, AllowAll, Observer> receiver;
};

auto ledger_policy() {
    return Policy{Backoff{FullJitter{}, Cap{400ms}, 20ms}, ResetWhenStable{500ms},
                  AttemptTimeout{800ms}};
}

struct LedgerSender {
    using Link = Session<sim::Tcp, decltype(ledger_policy()), Queue<Journal<sim::Disk>>>;

    LedgerSender(sim::Host& h, Journal<sim::Disk> journal, std::size_t i)
        : host{h},
          session{sim::Tcp{h, "server", 1}, ledger_policy(), Queue{std::move(journal)},
                  SessionOptions{.id = Id{std::byte(1 + i)}, .greeting_max = 700ms}} {
        h.attach(session);
        session.start();
        work();
    }
    void work() {
        const std::uint64_t number = session.queue().storage().last() + 1;
        if (number <= operations) static_cast<void>(session.send(as_bytes(order(number))));
        host.after(50ms, [this] { work(); });
    }
    bool done() { return session.queue().storage().last() == operations && session.depth() == 0; }

    sim::Host& host;
    Link session;
};

/// A connection of another program, which locks the database now and then.
class Neighbour {
public:
    explicit Neighbour(const std::string& path) {
        REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
    }
    Neighbour(const Neighbour&) = delete;
    Neighbour& operator=(const Neighbour&) = delete;
    ~Neighbour() { sqlite3_close(db_); }
    void run(const char* sql) { sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); }
    std::vector<std::string> texts(std::size_t sender) {
        std::vector<std::string> found;
        const std::string sql =
            "SELECT text FROM orders WHERE hex(sender) LIKE '0" + std::to_string(1 + sender) + "%'";
        sqlite3_exec(
            db_, (sql + " ORDER BY rowid").c_str(),
            [](void* into, int, char** columns, char**) {
                static_cast<std::vector<std::string>*>(into)->emplace_back(columns[0]);
                return 0;
            },
            &found, nullptr);
        return found;
    }

private:
    sqlite3* db_ = nullptr;
};

}  // namespace

TEST_CASE("Sessions deliver each operation once into a sqlite::Ledger over kills and locks",
          "[sqlite][ledger][property]") {
    for_each_seed(
        [](Seed seed) {
            const TemporaryDirectory dir;
            const std::string path = dir / "shop.db";
            Neighbour neighbour{path};
            if (seed.value % 2 == 0) neighbour.run("PRAGMA journal_mode=WAL");
            neighbour.run("CREATE TABLE orders (sender BLOB, text TEXT CHECK (text <> ''))");
            int failures = 0;
            sim::World world{seed};
            sim::Host& server = world.host("server", [&](sim::Host& host) {
                auto ledger = sqlite::Ledger::open(path, store, {.lock_wait = Duration{}});
                // A lock of the neighbour: the supervisor of the process tries again.
                if (!ledger) {
                    host.after(100ms, [&world, &host] { world.restart(host); });
                    return std::unique_ptr<LedgerServer>{};
                }
                return std::make_unique<LedgerServer>(host, std::move(*ledger), failures);
            });
            std::vector<sim::Host*> hosts{&server};
            for (std::size_t i = 0; i < 2; ++i) {
                hosts.push_back(&world.host("sender" + std::to_string(i), [i](sim::Host& host) {
                    auto journal = Journal<sim::Disk>::open(host.disk(), "outbox");
                    REQUIRE(journal);
                    return std::make_unique<LedgerSender>(host, std::move(*journal), i);
                }));
            }
            const auto draw = [&](std::int64_t most) {
                return Duration{static_cast<std::int64_t>(
                    uniform_upto(world.bits(), static_cast<std::uint64_t>(most)))};
            };
            for (int i = 0; i < 12; ++i) {
                sim::Host* const host = hosts[uniform_upto(world.bits(), 2)];
                world.at(draw(5'000'000'000), [&world, host] { world.restart(*host); });
                const Duration locked = draw(5'000'000'000);
                world.at(locked, [&] { neighbour.run("BEGIN IMMEDIATE"); });
                world.at(locked + Duration{200ms}, [&] { neighbour.run("COMMIT"); });
            }
            const auto done = [&](std::size_t i) {
                auto* const sender = hosts[1 + i]->process<LedgerSender>();
                return sender != nullptr && sender->done();
            };
            world.run_for(6s);
            REQUIRE(world.run_until([&] { return done(0) && done(1); }, 2min));
            CHECK(failures == 0);
            for (const std::size_t sender : {0U, 1U}) {
                std::vector<std::string> expected;
                for (std::uint64_t number = 1; number <= operations; ++number) {
                    expected.push_back(order(number).empty() ? "rejected" : order(number));
                }
                CHECK(neighbour.texts(sender) == expected);
            }
        },
        25);
}
